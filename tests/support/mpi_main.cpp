// SPDX-License-Identifier: Apache-2.0
// The main of every MPI test executable: one rank's failure must end the job with its name on it, never hang
// the rest.
#include <gmock/gmock.h>
#include <mpi.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "twistor/comm/environment.hpp"

namespace {

/// Ends the process when one test runs longer than TWISTOR_TEST_LIMIT_S seconds; mpirun then ends the other
/// ranks.
class Watchdog {
 public:
  Watchdog(int rank, int size) : rank_(rank), size_(size), thread_([this] { watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      is_done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void start(const std::string& test) {
    const std::lock_guard lock(mutex_);
    test_ = test;
    deadline_ = std::chrono::steady_clock::now() + limit_;
    wake_.notify_all();
  }

 private:
  static std::chrono::seconds limit() {
    const char* text = std::getenv("TWISTOR_TEST_LIMIT_S");
    return std::chrono::seconds(text == nullptr ? 120 : std::atol(text));
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!is_done_) {
      const auto deadline = deadline_;
      wake_.wait_until(lock, deadline);
      if (is_done_ || deadline != deadline_ || std::chrono::steady_clock::now() < deadline_) continue;
      std::fprintf(stderr, "[rank %d/%d] %s has been running for %ld s: ending the job\n", rank_, size_,
                   test_.c_str(), static_cast<long>(limit_.count()));
      std::_Exit(124);  // MPI_Abort is not for a second thread; the launcher ends the job when a rank leaves
                        // like this
    }
  }

  const int rank_, size_;
  const std::chrono::seconds limit_ = limit();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string test_ = "start-up";
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::now() + limit_;
  bool is_done_ = false;
  std::thread thread_;  // last: it reads the members above
};

class Listener : public testing::EmptyTestEventListener {
 public:
  Listener(int rank, int size) : rank_(rank), size_(size), watchdog_(rank, size) {}

  void OnTestStart(const testing::TestInfo& info) override {
    watchdog_.start(std::string(info.test_suite_name()) + "." + info.name());
  }

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    if (rank_ != 0) {  // rank 0 has GoogleTest's own printer
      std::fprintf(stderr, "[rank %d/%d] %s:%d: Failure\n%s\n", rank_, size_, result.file_name(),
                   result.line_number(), result.message());
    }
    std::fflush(nullptr);
    // The rest of the test is skipped on this rank alone, so the others would wait for ever.
    if (result.fatally_failed()) MPI_Abort(MPI_COMM_WORLD, 1);
  }

 private:
  const int rank_, size_;
  Watchdog watchdog_;
};

}  // namespace

int main(int argc, char** argv) {
  twistor::comm::Environment environment(argc, argv);
  testing::InitGoogleMock(&argc, argv);
  GTEST_FLAG_SET(catch_exceptions, false);  // an exception on one rank ends the process, and with it the job
  const auto world = twistor::comm::Communicator::world();
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (world.rank() != 0) delete listeners.Release(listeners.default_result_printer());
  auto* listener = new Listener(world.rank(), world.size());
  listeners.Append(listener);
  int code = RUN_ALL_TESTS();
  delete listeners.Release(listener);
  MPI_Allreduce(MPI_IN_PLACE, &code, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return code;
}
