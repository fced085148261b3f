// SPDX-License-Identifier: Apache-2.0
// Messages between the ranks of one program, written and read value by value.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor::smc {

class ByteWriter {
 public:
  void add(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  template <class T>
  void add_value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    add(std::as_bytes(std::span(&value, 1)));
  }
  /// Their number, and they themselves.
  template <class T>
  void add_array(const std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    add_value(values.size());
    add(std::as_bytes(std::span(values)));
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

/// Throws Error(peer) where the message ends too early.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  std::span<const std::byte> take(std::size_t n) {
    TWISTOR_CHECK(n <= rest_.size(), ErrorKind::peer, "receiving particles from another rank",
                  fmt::format("expected {} more bytes, got {}", n, rest_.size()));
    const auto piece = rest_.first(n);
    rest_ = rest_.subspan(n);
    return piece;
  }
  template <class T>
  void read_values(T* data, std::size_t n) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = take(n * sizeof(T));
    if (n > 0) std::memcpy(data, bytes.data(), bytes.size());
  }
  template <class T>
  void read(T& value) {
    read_values(&value, 1);
  }
  template <class T>
  void read(std::vector<T>& values) {
    std::size_t n = 0;
    read(n);
    TWISTOR_CHECK(n <= rest_.size() / sizeof(T), ErrorKind::peer, "receiving particles from another rank",
                  fmt::format("expected {} more values, got {} bytes", n, rest_.size()));
    values.resize(n);
    read_values(values.data(), n);
  }
  /// To be called at the end of the message.
  void finish() const {
    TWISTOR_CHECK(rest_.empty(), ErrorKind::peer, "receiving particles from another rank",
                  "the message is too long");
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace twistor::smc
