// SPDX-License-Identifier: Apache-2.0
// Progress on stderr.
#include "twistor/report/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>

#include "twistor/base/stopwatch.hpp"

namespace twistor::report {
namespace {

/// Columns of the terminal, or 80: a longer text would wrap and could not be rewritten in place.
std::size_t columns_of(int descriptor) noexcept {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// At most that many bytes, never cutting through a UTF-8 character.
std::string_view shortened(std::string_view text, std::size_t n_bytes) noexcept {
  if (text.size() <= n_bytes) return text;
  while (n_bytes > 0 && (static_cast<unsigned char>(text[n_bytes]) & 0xC0) == 0x80) --n_bytes;
  return text.substr(0, n_bytes);
}

std::string stamped(const std::string& stamp, const std::string& text) {
  return stamp.empty() ? text : stamp + " " + text;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32];
  if (::gmtime_r(&now, &parts) == nullptr) return {};
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

std::string duration_text(double seconds) {
  if (!(seconds < 1e9)) return "years";
  const auto s = static_cast<std::int64_t>(std::ceil(std::max(0.0, seconds)));
  const auto two = [](std::int64_t a, const char* a_unit, std::int64_t b, const char* b_unit) {
    return std::to_string(a) + a_unit + (b > 0 ? " " + std::to_string(b) + b_unit : "");
  };
  if (s < 60) return std::to_string(s) + " s";
  if (s < 3600) return two(s / 60, " min", s % 60, " s");
  if (s < 86400) return two(s / 3600, " h", s % 3600 / 60, " min");
  return two(s / 86400, " d", s % 86400 / 3600, " h");
}

ProgressLine::ProgressLine(const ProgressOptions& options)
    : options_(options),
      is_terminal_(::isatty(options.descriptor) == 1),
      next_s_(std::numeric_limits<double>::lowest()),
      pause_s_(options.log_every_s) {
  if (!options_.now_s) options_.now_s = [watch = Stopwatch()] { return watch.seconds(); };
  if (!options_.stamp) options_.stamp = utc_now;
}

ProgressLine::~ProgressLine() {
  finish();
}

void ProgressLine::update(std::string_view text, Amount amount) {
  if (!options_.enabled) return;
  const double now = options_.now_s();
  text_ = text;
  std::replace_if(
      text_.begin(), text_.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  text_ += time_left(amount, now);
  is_held_back_ = true;
  if (now < next_s_) return;
  next_s_ = now + (is_terminal_ ? options_.terminal_every_s : pause_s_);
  pause_s_ = std::min(pause_s_ * options_.log_growth, options_.log_most_s);
  show();
}

std::string ProgressLine::time_left(Amount amount, double now) {
  if (amount.wanted <= 0) return {};
  if (last_.wanted != amount.wanted || amount.done < last_.done) {
    begin_ = amount;
    begin_s_ = now;
  }
  last_ = amount;
  if (amount.done <= begin_.done || amount.done >= amount.wanted) return {};
  const double rate = static_cast<double>(amount.done - begin_.done) / (now - begin_s_);
  return "  ETA " + duration_text(static_cast<double>(amount.wanted - amount.done) / rate);
}

void ProgressLine::finish() noexcept {
  if (is_held_back_) show();
  if (is_line_open_) [[maybe_unused]]
    const auto n = ::write(options_.descriptor, "\n", 1);
  is_line_open_ = false;
}

void ProgressLine::show() noexcept {
  is_held_back_ = false;
  try {
    // "\x1b[K" clears what an earlier, longer text left behind.
    const std::string line =
        is_terminal_ ? "\r" + std::string(shortened(text_, columns_of(options_.descriptor) - 1)) + "\x1b[K"
                     : stamped(options_.stamp(), text_) + "\n";
    [[maybe_unused]] const auto n = ::write(options_.descriptor, line.data(), line.size());
    is_line_open_ = is_terminal_;
  } catch (const std::exception&) {
    is_line_open_ = false;  // out of memory: progress is the last thing that matters
  }
}

}  // namespace twistor::report
