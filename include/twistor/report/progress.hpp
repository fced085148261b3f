// SPDX-License-Identifier: Apache-2.0
// The line that tells a waiting person how far a run has come, and how long it will take.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace twistor::report {

struct ProgressOptions {
  bool enabled = true;              ///< false on ranks other than 0 and with run.progress = false
  int descriptor = 2;               ///< stderr
  double terminal_every_s = 0.1;    ///< a terminal shows one line that changes
  double log_every_s = 5;           ///< anything else gets a line now and then: the first pause,
  double log_growth = 1.3;          ///< by how much each pause is longer than the one before,
  double log_most_s = 300;          ///< and the longest
  std::function<double()> now_s{};  ///< a clock that runs evenly; empty: the system's
  std::function<std::string()>
      stamp{};  ///< what whole lines begin with; empty: the time, 2026-11-26T01:30:12Z
};

/// How much is done of how much; nothing is said about the time that is left where `wanted` is 0.
struct Amount {
  std::int64_t done = 0;
  std::int64_t wanted = 0;
};

/// 7 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.
[[nodiscard]] std::string duration_text(double seconds);

/// *Local.* On a terminal the line is rewritten in place; elsewhere (Slurm's logs, CI) whole lines with the
/// time are written, ever more rarely. Never throws.
class ProgressLine {
 public:
  explicit ProgressLine(const ProgressOptions& options = {});
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// Shows the last text if it was held back, and ends the line.
  ~ProgressLine();

  /// Shows the text and the time left, unless another was shown a moment ago. Line ends and control
  /// characters become blanks. The rate is that since the first amount, or since the amount last fell: then
  /// another stage has begun.
  void update(std::string_view text, Amount amount = {});
  /// Shows the last text if it was held back, and ends the line; a later update() begins a new one.
  void finish() noexcept;

 private:
  void show() noexcept;
  [[nodiscard]] std::string time_left(Amount amount, double now);

  ProgressOptions options_;
  bool is_terminal_ = false;
  bool is_held_back_ = false;
  bool is_line_open_ = false;
  std::string text_;
  double next_s_ = 0;   // when the next text may be shown
  double pause_s_ = 0;  // between whole lines
  double begin_s_ = 0;  // of the stage
  Amount begin_{}, last_{};
};

}  // namespace twistor::report
