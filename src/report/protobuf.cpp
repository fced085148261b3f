// SPDX-License-Identifier: Apache-2.0
// The wire format of Protocol Buffers.
#include "protobuf.hpp"

#include <bit>

#include "twistor/base/error.hpp"

namespace twistor::report {
namespace {

// How a field's value lies in the bytes.
constexpr int wire_varint = 0, wire_64_bits = 1, wire_length_and_bytes = 2, wire_32_bits = 5;

}  // namespace

std::string little_endian(std::uint64_t value, int n_bytes) {
  std::string out;
  for (int i = 0; i < n_bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

void Message::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7F) | 0x80);
  bytes_ += static_cast<char>(value);
}

void Message::tag(int field, int wire_type) {
  varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire_type));
}

Message& Message::integer(int field, std::int64_t value) {
  TWISTOR_ASSERT(value >= 0, "a message got a negative integer");
  tag(field, wire_varint);
  varint(static_cast<std::uint64_t>(value));
  return *this;
}

Message& Message::real(int field, double value) {
  tag(field, wire_64_bits);
  bytes_ += little_endian(std::bit_cast<std::uint64_t>(value), 8);
  return *this;
}

Message& Message::short_real(int field, float value) {
  tag(field, wire_32_bits);
  bytes_ += little_endian(std::bit_cast<std::uint32_t>(value), 4);
  return *this;
}

Message& Message::text(int field, std::string_view bytes) {
  tag(field, wire_length_and_bytes);
  varint(bytes.size());
  bytes_ += bytes;
  return *this;
}

Message& Message::reals(int field, std::span<const double> values) {
  std::string packed;
  for (const double value : values) packed += little_endian(std::bit_cast<std::uint64_t>(value), 8);
  return text(field, packed);
}

}  // namespace twistor::report
