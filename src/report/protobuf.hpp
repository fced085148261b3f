// SPDX-License-Identifier: Apache-2.0
// Messages in the wire format of Protocol Buffers, as far as TensorBoard's files need it. Private to the
// report room.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace twistor::report {

/// The bytes of one message; fields in the order in which they were added, each with the number that its
/// .proto file gives it. A field that is not added reads as its default: 0, empty, absent. *Local.*
class Message {
 public:
  /// int32, int64, bool and enum, none of them negative.
  Message& integer(int field, std::int64_t value);
  Message& real(int field, double value);            ///< double
  Message& short_real(int field, float value);       ///< float
  Message& text(int field, std::string_view bytes);  ///< string and bytes
  Message& message(int field, const Message& value) { return text(field, value.bytes()); }
  Message& reals(int field, std::span<const double> values);  ///< repeated double, packed

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void tag(int field, int wire_type);
  void varint(std::uint64_t value);
  std::string bytes_;
};

/// The lowest `n_bytes` bytes of a number, the lowest first. *Local.*
[[nodiscard]] std::string little_endian(std::uint64_t value, int n_bytes);

}  // namespace twistor::report
