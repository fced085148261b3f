// SPDX-License-Identifier: Apache-2.0
// The GGUF container (versions 2 and 3, little-endian): metadata keys and the directory of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/mapped_file.hpp"

namespace twistor::format {

/// Types of metadata values, with the numbers of the file format.
enum class GgufType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};

/// One entry of the tensor directory. Its extent in bytes depends on the type, which the reader of weights
/// knows.
struct GgufTensor {
  std::string name;
  std::uint32_t type = 0;           ///< ggml type number
  std::vector<std::int64_t> shape;  ///< row-major, outermost first (the file's order is turned round)
  std::uint64_t offset =
      0;  ///< bytes from the start of GgufFile::data(); a multiple of the alignment, inside
};

/// A parsed header. *Local*, immutable. Views the bytes it was made of; open() keeps the file mapped for as
/// long as the object or a copy of it lives. Every lookup throws Error(data) naming file and key.
class GgufFile {
 public:
  /// Maps and parses a file. Throws Error(no_input) or Error(data).
  [[nodiscard]] static GgufFile open(const std::filesystem::path& path);
  /// Parses bytes that the caller keeps alive; `name` is for messages. Throws Error(data) on anything
  /// malformed.
  [[nodiscard]] static GgufFile parse(std::span<const std::byte> bytes, const std::string& name);

  [[nodiscard]] bool has(std::string_view key) const { return values_.find(key) != values_.end(); }
  /// Integers of any width, as int64.
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  /// f32 or f64.
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] bool boolean(std::string_view key) const;
  [[nodiscard]] std::string_view string(std::string_view key) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key) const;
  [[nodiscard]] std::vector<double> numbers(std::string_view key) const;
  [[nodiscard]] std::vector<std::string_view> strings(std::string_view key) const;
  /// The same, nullopt where the key is missing.
  [[nodiscard]] std::optional<std::int64_t> find_integer(std::string_view key) const;
  [[nodiscard]] std::optional<double> find_number(std::string_view key) const;
  [[nodiscard]] std::optional<bool> find_boolean(std::string_view key) const;
  [[nodiscard]] std::optional<std::string_view> find_string(std::string_view key) const;

  [[nodiscard]] const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// The section that tensor offsets count from; empty if the file has no tensors.
  [[nodiscard]] std::span<const std::byte> data() const { return data_; }
  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] std::vector<std::string> keys() const;
  /// The file, for messages.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Value {
    GgufType type = GgufType::u8;  ///< of the value, or of the elements of an array
    bool is_array = false;
    std::uint64_t count = 1;
    std::span<const std::byte> payload;  ///< checked: holds exactly `count` elements
  };
  class Parser;

  [[nodiscard]] const Value& require(std::string_view key, std::string_view expected, bool is_array) const;
  [[noreturn]] void fail_type(std::string_view key, std::string_view expected, const Value& value) const;

  std::shared_ptr<const MappedFile> mapping_;
  std::string name_;
  std::uint32_t version_ = 0;
  std::map<std::string, Value, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  std::span<const std::byte> data_;
};

}  // namespace twistor::format
