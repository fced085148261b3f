// SPDX-License-Identifier: Apache-2.0
// How an error on any rank ends the job on all ranks, soon and with one message.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "twistor/base/error.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

constexpr std::chrono::milliseconds head_start_of_rank_0{1500};
constexpr std::chrono::milliseconds patience_with_mpi{2500};  // after the head start: 4 s in all

std::string describe(const std::exception& error, std::string_view doing) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return ours->text();
  // LibTorch appends a C++ backtrace to its texts, which says nothing to a user.
  std::string text = error.what();
  text.resize(std::min(text.size(), text.find("\nException raised from ")));
  return fmt::format("{}: {}", doing, text);
}

void print(std::string line) {
  line.push_back('\n');
  std::fflush(nullptr);
  // One write call, so that ranks do not mix; a failure to print must not keep the job alive.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

int exit_code_of(const std::exception& error) noexcept {
  const auto* ours = dynamic_cast<const Error*>(&error);
  return ours != nullptr ? ours->exit_code() : static_cast<int>(ErrorKind::internal);
}

void report_and_abort(const Communicator* world, const std::exception& error, std::string_view doing) {
  const int code = exit_code_of(error);
  const std::string text = describe(error, doing);
  if (world == nullptr || world->size() == 1) {
    print("twistor: " + text);
    if (world != nullptr) MPI_Finalize();  // alone, there is nobody to wait for
    std::_Exit(code);
  }
  // The launcher ends the other ranks by SIGTERM; a handler that waits for the end of a step would only delay
  // that.
  std::signal(SIGTERM, SIG_DFL);
  if (world->rank() != 0) std::this_thread::sleep_for(head_start_of_rank_0);
  print(fmt::format("[rank {}/{}] {}", world->rank(), world->size(), text));
  std::thread([code] {
    std::this_thread::sleep_for(patience_with_mpi);
    std::_Exit(code);  // the launcher ends the job when a rank leaves without MPI_Finalize
  }).detach();
  world->abort(code);
}

}  // namespace twistor::comm
