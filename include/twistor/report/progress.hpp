// The line that tells a waiting person how far a run has come.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace twistor::report {

struct ProgressOptions {
  bool enabled = true;            ///< false on ranks other than 0 and with --quiet
  int descriptor = 2;             ///< stderr
  double terminal_every_s = 0.1;  ///< a terminal shows one line that changes
  double log_every_s = 5;         ///< anything else gets a line now and then
};

/// *Local.* On a terminal the line is rewritten in place; elsewhere whole lines are written, rarely. Never
/// throws.
class ProgressLine {
 public:
  explicit ProgressLine(const ProgressOptions& options = {});
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// Shows the last text if it was held back, and ends the line.
  ~ProgressLine();

  /// Shows the text, unless another was shown a moment ago. Line ends and control characters become blanks.
  void update(std::string_view text);
  /// Shows the last text if it was held back, and ends the line; a later update() begins a new one.
  void finish() noexcept;

 private:
  void show() noexcept;

  ProgressOptions options_;
  bool is_terminal_ = false;
  bool is_held_back_ = false;
  bool is_line_open_ = false;
  std::string text_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace twistor::report
