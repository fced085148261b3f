// SPDX-License-Identifier: Apache-2.0
// A command of the user's that answers lines with lines, as a child process.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace twistor {

/// Started at the first question, by /bin/sh -c, in a process group of its own and without the variables of
/// Open MPI. Move-only; one thread at a time. *Local.*
class LineProcess {
 public:
  /// timeout_s: seconds without a byte read or written after which a question fails.
  LineProcess(std::string command, double timeout_s);
  LineProcess(LineProcess&&) noexcept;
  LineProcess& operator=(LineProcess&&) noexcept;
  /// Closes the command's input and waits for its end; what has not ended after 2 s gets SIGTERM, and after
  /// 2 s more SIGKILL.
  ~LineProcess();

  /// Writes the lines (without line ends in them) and reads as many. Both at the same time, so that neither
  /// side ever waits for room in a pipe that the other does not empty. Throws Error(data) with the end of
  /// what the command wrote to its error output if it ends, says nothing for too long, or writes more lines
  /// than it was asked; Error(config) if it cannot be started.
  [[nodiscard]] std::vector<std::string> ask(std::span<const std::string> lines);

  [[nodiscard]] const std::string& command() const { return command_; }

 private:
  struct Child;
  std::string command_;
  double timeout_s_;
  std::unique_ptr<Child> child_;
};

}  // namespace twistor
