// SPDX-License-Identifier: Apache-2.0
// Pipes to a child process, polled in both directions.
#include "twistor/base/line_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "twistor/base/descriptor.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"

namespace twistor {
namespace {

constexpr std::size_t most_tail_bytes = 2000;  // of the error output, for messages
constexpr std::size_t most_line_bytes = 1 << 20;
constexpr double grace_s = 2;

struct Pipe {
  Descriptor read, write;
};

Pipe make_pipe(const std::string& doing) {
  int fds[2];
  TWISTOR_CHECK(::pipe2(fds, O_CLOEXEC) == 0, ErrorKind::io, doing, std::strerror(errno));
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

/// While it lives, writing to a pipe that nobody reads is an error of write() and no signal.
class NoBrokenPipeSignal {
 public:
  NoBrokenPipeSignal() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  NoBrokenPipeSignal(const NoBrokenPipeSignal&) = delete;
  NoBrokenPipeSignal& operator=(const NoBrokenPipeSignal&) = delete;
  ~NoBrokenPipeSignal() {
    const timespec at_once{};
    while (!was_pending_ && (sigtimedwait(&set_, nullptr, &at_once) > 0 || errno == EINTR)) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t set_, before_;
  bool was_pending_ = false;
};

/// The environment without what makes a process a rank: the command may use MPI on its own.
std::vector<char*> environment_of_a_single_process() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with("OMPI_") && !text.starts_with("PMIX_") && !text.starts_with("PMI_"))
      kept.push_back(*entry);
  }
  kept.push_back(nullptr);
  return kept;
}

std::string words_of(int status) {
  if (WIFEXITED(status)) return fmt::format("it ended with exit code {}", WEXITSTATUS(status));
  return fmt::format("it was ended by signal {}", WTERMSIG(status));
}

}  // namespace

struct LineProcess::Child {
  pid_t pid = -1;
  Descriptor input, output, errors;  // our ends, which never block
  std::string unread;                // of its output
  std::string tail;                  // of its error output
  bool has_closed_output = false;

  Child(const std::string& command, const std::string& doing);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  std::optional<int> wait(double patience_s);
  std::size_t read_output();
  void read_errors();
  std::size_t write_input(std::string_view text);
  [[nodiscard]] std::string last_words() const;
};

LineProcess::Child::Child(const std::string& command, const std::string& doing) {
  Pipe in = make_pipe(doing), out = make_pipe(doing), err = make_pipe(doing);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);  // sockets and devices of MPI
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  const char* const arguments[] = {"sh", "-c", command.c_str(), nullptr};
  // posix_spawn, not fork: the memory that MPI has registered with its devices must not be copied.
  const int problem =
      ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, const_cast<char* const*>(arguments),
                    environment_of_a_single_process().data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  TWISTOR_CHECK(problem == 0, ErrorKind::config, doing, std::strerror(problem));
  input = std::move(in.write);
  output = std::move(out.read);
  errors = std::move(err.read);
  for (const int fd : {input.get(), output.get(), errors.get()})
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

LineProcess::Child::~Child() {
  if (pid < 0) return;
  input = Descriptor();
  for (const int signal : {0, SIGTERM, SIGKILL}) {
    if (signal != 0) ::kill(-pid, signal);
    if (wait(grace_s)) return;
  }
}

/// The status it ended with; nothing if it has not ended after that time. Its error output is read meanwhile.
std::optional<int> LineProcess::Child::wait(double patience_s) {
  const Stopwatch watch;
  while (true) {
    read_errors();
    if (read_output() > 0) unread.clear();  // so that it is not held up by a full pipe
    siginfo_t ended{};
    const int answer = ::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (answer != 0 || ended.si_pid == pid) {
      // What it may have left behind in its group, whose number is not given to others before waitpid().
      if (answer == 0) ::kill(-pid, SIGKILL);
      int status = 0;
      ::waitpid(std::exchange(pid, -1), &status, 0);
      read_errors();
      return status;
    }
    if (watch.seconds() >= patience_s) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// Bytes that were there to be read.
std::size_t LineProcess::Child::read_output() {
  std::array<char, 65536> buffer;
  const ssize_t n = ::read(output.get(), buffer.data(), buffer.size());
  if (n == 0) has_closed_output = true;
  if (n <= 0) return 0;
  unread.append(buffer.data(), static_cast<std::size_t>(n));
  return static_cast<std::size_t>(n);
}

/// Some of what is there: one who writes without end must not keep us here.
void LineProcess::Child::read_errors() {
  std::array<char, 65536> buffer;
  const ssize_t n = errors ? ::read(errors.get(), buffer.data(), buffer.size()) : -1;
  if (n == 0) errors = Descriptor();
  if (n <= 0) return;
  tail.append(buffer.data(), static_cast<std::size_t>(n));
  if (tail.size() > most_tail_bytes) tail.erase(0, tail.size() - most_tail_bytes);
}

/// Bytes taken; whoever has stopped reading is found out by the end of its output.
std::size_t LineProcess::Child::write_input(std::string_view text) {
  const NoBrokenPipeSignal quiet;
  const ssize_t n = ::write(input.get(), text.data(), text.size());
  if (n < 0 && errno == EPIPE) input = Descriptor();
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

std::string LineProcess::Child::last_words() const {
  return tail.empty() ? "it wrote nothing to its error output" : "its error output ends with:\n" + tail;
}

LineProcess::LineProcess(std::string command, double timeout_s)
    : command_(std::move(command)), timeout_s_(timeout_s) {}
LineProcess::LineProcess(LineProcess&&) noexcept = default;
LineProcess& LineProcess::operator=(LineProcess&&) noexcept = default;
LineProcess::~LineProcess() = default;

std::vector<std::string> LineProcess::ask(std::span<const std::string> lines) {
  const std::string doing = fmt::format("asking the command '{}'", command_);
  if (child_ == nullptr) child_ = std::make_unique<Child>(command_, doing);
  Child& child = *child_;
  const auto fail = [&](const std::string& problem) {
    child.read_errors();
    throw Error(
        ErrorKind::data, doing, fmt::format("{}; {}", problem, child.last_words()),
        "it has to read a line and write a line, for as long as there are lines, and flush its output");
  };
  (void)child.read_output();
  if (!child.unread.empty()) fail("it wrote more lines than it was asked");

  std::string question;
  for (const std::string& line : lines) question += line + '\n';
  std::string_view unwritten = question;
  std::vector<std::string> answers;
  Stopwatch silence;
  while (answers.size() < lines.size()) {
    pollfd polled[] = {{child.output.get(), POLLIN, 0},
                       {child.errors ? child.errors.get() : -1, POLLIN, 0},
                       {!unwritten.empty() && child.input ? child.input.get() : -1, POLLOUT, 0}};
    const double left_s = timeout_s_ - silence.seconds();
    if (left_s <= 0)
      fail(fmt::format("it said nothing for {} s, after {} of {} lines", timeout_s_, answers.size(),
                       lines.size()));
    const int wait_ms = static_cast<int>(std::min(std::ceil(left_s * 1000), 1e6));
    if (::poll(polled, 3, wait_ms) < 0 && errno != EINTR) fail(std::strerror(errno));
    if (polled[1].revents != 0) child.read_errors();
    if (polled[2].revents != 0) {
      const std::size_t n = child.write_input(unwritten);
      unwritten.remove_prefix(n);
      if (n > 0) silence.restart();
    }
    if (polled[0].revents == 0) continue;
    const std::size_t n_read = child.read_output();
    if (child.has_closed_output) {
      const auto status = child.wait(grace_s);
      fail(fmt::format("{} after {} of {} lines", status ? words_of(*status) : "it closed its output",
                       answers.size(), lines.size()));
    }
    if (n_read == 0) continue;
    silence.restart();
    std::size_t begin = 0, end = 0;
    while ((end = child.unread.find('\n', begin)) != std::string::npos && answers.size() < lines.size()) {
      answers.push_back(child.unread.substr(begin, end - begin));
      begin = end + 1;
    }
    child.unread.erase(0, begin);
    if (child.unread.size() > most_line_bytes) fail("it writes a line of more than a mebibyte");
  }
  if (!child.unread.empty()) fail("it wrote more lines than it was asked");
  return answers;
}

}  // namespace twistor
