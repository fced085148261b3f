// SPDX-License-Identifier: Apache-2.0
// Writing files of events.
#include "event_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <system_error>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::report {
namespace {

constexpr std::string_view event_file_begin = "events.out.tfevents.";

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Sorted by name, files are in the order in which they were made; no two have one name.
std::string new_event_file_name() {
  static std::atomic<int> n_files = 0;  // of this process
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("{}{:010.0f}.{}.{}.{}", event_file_begin, std::floor(seconds_since_1970()), host.data(),
                     ::getpid(), n_files++);
}

Message event_at(std::int64_t step) {
  return Message().real(1, seconds_since_1970()).integer(2, step);
}

Message plugin_data(std::string_view name, std::string_view content) {
  return Message().message(1, Message().text(1, name).text(2, content));
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = store::crc32c(std::as_bytes(std::span(bytes)));
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

std::string event_record(std::string_view bytes) {
  const std::string length = little_endian(bytes.size(), 8);
  std::string out = length + little_endian(masked_crc32c(length), 4);
  out += bytes;
  return out + little_endian(masked_crc32c(bytes), 4);
}

EventSummary& EventSummary::scalar(std::string_view tag, double value) {
  if (!std::isnan(value))
    message_.message(1, Message().text(1, tag).short_real(2, static_cast<float>(value)));
  return *this;
}

EventSummary& EventSummary::histogram(std::string_view tag, std::span<const double> values) {
  constexpr std::size_t most_bins = 30;
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite), [](double x) { return std::isfinite(x); });
  if (finite.empty()) return *this;
  const auto [low, high] = std::ranges::minmax(finite);
  const std::size_t n_bins = low < high ? most_bins : 1;
  std::vector<double> upper_edges(n_bins, high), counts(n_bins);
  for (std::size_t i = 0; i + 1 < n_bins; ++i)
    upper_edges[i] = low + (high - low) * static_cast<double>(i + 1) / static_cast<double>(n_bins);
  double sum = 0, sum_of_squares = 0;
  for (const double x : finite) {
    ++counts[static_cast<std::size_t>(std::ranges::lower_bound(upper_edges, x) - upper_edges.begin())];
    sum += x;
    sum_of_squares += x * x;
  }
  const Message histogram = Message()
                                .real(1, low)
                                .real(2, high)
                                .real(3, static_cast<double>(finite.size()))
                                .real(4, sum)
                                .real(5, sum_of_squares)
                                .reals(6, upper_edges)
                                .reals(7, counts);
  message_.message(1, Message().text(1, tag).message(5, histogram));
  return *this;
}

EventSummary& EventSummary::markdown(std::string_view tag, std::string_view text) {
  constexpr int type_string = 7;
  const Message tensor = Message().integer(1, type_string).message(2, Message()).text(8, text);
  message_.message(1, Message().text(1, tag).message(8, tensor).message(9, plugin_data("text", {})));
  return *this;
}

EventSummary& EventSummary::plugin(std::string_view tag, std::string_view name, const Message& content) {
  // Readers expect some tensor with it; this one has no element.
  constexpr int type_float = 1;
  const Message none = Message().integer(1, type_float).message(2, Message().message(2, Message()));
  message_.message(1, Message().text(1, tag).message(8, none).message(9, plugin_data(name, content.bytes())));
  return *this;
}

EventFile::EventFile(const std::filesystem::path& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, "making the folder " + folder.string(), failure.message());
  file_ = AppendFile(folder / new_event_file_name());
  write(Message().real(1, seconds_since_1970()).text(3, "brain.Event:2"));
}

void EventFile::write(std::int64_t step, const EventSummary& summary) {
  if (!summary.is_empty()) write(event_at(step).message(5, summary.message()));
}

void EventFile::restart(std::int64_t step) {
  constexpr int status_start = 1;
  write(event_at(step).message(7, Message().integer(1, status_start)));
}

void remove_event_files(const std::filesystem::path& folder) {
  std::error_code failure;
  std::filesystem::directory_iterator files(folder, failure);
  if (failure) return;  // there is none yet
  for (const auto& file : files)
    if (file.path().filename().string().starts_with(event_file_begin)) std::filesystem::remove(file, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, "removing earlier events in " + folder.string(), failure.message());
}

}  // namespace twistor::report
