// SPDX-License-Identifier: Apache-2.0
// Files of events as TensorBoard reads them: records with checksums, an Event message in each. Field numbers
// are those of TensorFlow's event.proto, summary.proto and tensor.proto. Private to the report room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "protobuf.hpp"
#include "twistor/base/append_file.hpp"

namespace twistor::report {

/// One record: its length and the masked CRC32C of that, the bytes, and their masked CRC32C. *Local.*
[[nodiscard]] std::string event_record(std::string_view bytes);
/// CRC32C turned by 15 bits and shifted, so that a checksum of data with checksums in it stays one. *Local.*
[[nodiscard]] std::uint32_t masked_crc32c(std::string_view bytes);

/// What one step shows, tag by tag: a Summary message. Tags of one name before the first '/' stand together.
class EventSummary {
 public:
  /// Rounded to float, as TensorBoard keeps scalars. NaN is left out.
  EventSummary& scalar(std::string_view tag, double value);
  /// Thirty bins between the least and the greatest value; those that are not finite are left out. Nothing
  /// without any.
  EventSummary& histogram(std::string_view tag, std::span<const double> values);
  /// Markdown.
  EventSummary& markdown(std::string_view tag, std::string_view text);
  /// A message for a plugin, which reads nothing else.
  EventSummary& plugin(std::string_view tag, std::string_view name, const Message& content);

  [[nodiscard]] const Message& message() const { return message_; }
  [[nodiscard]] bool is_empty() const { return message_.bytes().empty(); }

 private:
  Message message_;
};

/// A new file of its own in the folder, as every process that writes events there has one. *Local.*
class EventFile {
 public:
  /// The folder is made if it is not there. Throws Error(io).
  explicit EventFile(const std::filesystem::path& folder);

  /// Nothing of an empty summary. Throws Error(io), as the other.
  void write(std::int64_t step, const EventSummary& summary);
  /// Readers forget what earlier files say of this step and later ones.
  void restart(std::int64_t step);

 private:
  void write(const Message& event) { file_.append(event_record(event.bytes())); }
  AppendFile file_;
};

/// Removes the files of events of earlier runs; others stay. *Local.* Throws Error(io).
void remove_event_files(const std::filesystem::path& folder);

}  // namespace twistor::report
