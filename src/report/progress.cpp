// Progress on stderr.
#include "twistor/report/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

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

}  // namespace

ProgressLine::ProgressLine(const ProgressOptions& options)
    : options_(options), is_terminal_(::isatty(options.descriptor) == 1) {}

ProgressLine::~ProgressLine() {
  finish();
}

void ProgressLine::update(std::string_view text) {
  if (!options_.enabled) return;
  text_ = text;
  std::replace_if(
      text_.begin(), text_.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  is_held_back_ = true;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  const double pause_s = is_terminal_ ? options_.terminal_every_s : options_.log_every_s;
  next_ = now + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                    std::chrono::duration<double>(pause_s));
  show();
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
                     : text_ + "\n";
    [[maybe_unused]] const auto n = ::write(options_.descriptor, line.data(), line.size());
    is_line_open_ = is_terminal_;
  } catch (const std::exception&) {
    is_line_open_ = false;  // out of memory: progress is the last thing that matters
  }
}

}  // namespace twistor::report
