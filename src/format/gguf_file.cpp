// SPDX-License-Identifier: Apache-2.0
// Parsing of the GGUF container: every count and offset is compared with what the file can hold before it is
// used.
#include "twistor/format/gguf_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::format {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF fields are read as they lie in memory");

constexpr std::uint64_t default_alignment = 32;
constexpr std::uint64_t largest_alignment = 1u << 20;
constexpr std::uint32_t most_dimensions = 4;
// The smallest entries that the format allows: an empty name, a type, one byte; no dimensions, a type, an
// offset.
constexpr std::uint64_t smallest_value_bytes = 8 + 4 + 1;
constexpr std::uint64_t smallest_tensor_bytes = 8 + 4 + 4 + 8;

// 0: no fixed size (string, array, unknown).
std::uint64_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    default:
      return 0;
  }
}

std::string_view type_name(GgufType type) {
  constexpr std::string_view names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
  const auto index = static_cast<std::size_t>(type);
  return index < std::size(names) ? names[index] : "unknown";
}

template <class T>
T load(std::span<const std::byte> bytes, std::uint64_t index = 0) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

std::int64_t integer_at(GgufType type, std::span<const std::byte> bytes, std::uint64_t i,
                        const std::string& doing) {
  switch (type) {
    case GgufType::u8:
      return load<std::uint8_t>(bytes, i);
    case GgufType::i8:
      return load<std::int8_t>(bytes, i);
    case GgufType::u16:
      return load<std::uint16_t>(bytes, i);
    case GgufType::i16:
      return load<std::int16_t>(bytes, i);
    case GgufType::u32:
      return load<std::uint32_t>(bytes, i);
    case GgufType::i32:
      return load<std::int32_t>(bytes, i);
    case GgufType::i64:
      return load<std::int64_t>(bytes, i);
    default:
      break;
  }
  const auto value = load<std::uint64_t>(bytes, i);
  TWISTOR_CHECK(value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}, ErrorKind::data, doing,
                fmt::format("expected an integer below 2^63, got {}", value));
  return static_cast<std::int64_t>(value);
}

bool is_integer(GgufType type) {
  return scalar_bytes(type) > 0 && type != GgufType::f32 && type != GgufType::f64 &&
         type != GgufType::boolean;
}

double number_at(GgufType type, std::span<const std::byte> bytes, std::uint64_t i) {
  return type == GgufType::f32 ? static_cast<double>(load<float>(bytes, i)) : load<double>(bytes, i);
}

}  // namespace

/// Walks the header from front to back.
class GgufFile::Parser {
 public:
  Parser(std::span<const std::byte> bytes, GgufFile& file)
      : bytes_(bytes), file_(file), doing_("reading GGUF file " + file.name_) {}

  void parse() {
    parse_magic();
    const auto n_tensors = take<std::uint64_t>("the number of tensors");
    const auto n_values = take<std::uint64_t>("the number of metadata keys");
    check_count(n_tensors, smallest_tensor_bytes, "tensors");
    check_count(n_values, smallest_value_bytes, "metadata keys");
    for (std::uint64_t i = 0; i < n_values; ++i) parse_value();
    for (std::uint64_t i = 0; i < n_tensors; ++i) parse_tensor();
    locate_data();
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& hint = {}) const {
    throw Error(ErrorKind::data, doing_, problem, hint);
  }

  [[nodiscard]] std::uint64_t remaining() const { return bytes_.size() - at_; }

  std::span<const std::byte> take_bytes(std::uint64_t n, std::string_view what) {
    if (n > remaining())
      fail(fmt::format("truncated in {}: expected {} more bytes at offset {}, got {}", what, n, at_,
                       remaining()),
           "the file was probably not downloaded or copied completely");
    const auto taken = bytes_.subspan(at_, n);
    at_ += n;
    return taken;
  }

  template <class T>
  T take(std::string_view what) {
    return load<T>(take_bytes(sizeof(T), what));
  }

  std::string_view take_string(std::string_view what) {
    const auto size = take<std::uint64_t>(what);
    const auto bytes = take_bytes(size, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  void check_count(std::uint64_t count, std::uint64_t smallest_bytes, std::string_view what) const {
    if (count > remaining() / smallest_bytes)
      fail(fmt::format("expected at most {} {} in the {} bytes left, got {}", remaining() / smallest_bytes,
                       what, remaining(), count),
           "the header is damaged");
  }

  void parse_magic() {
    const auto magic = take_bytes(4, "the magic number");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0)
      fail("expected the magic 'GGUF' at the start, got something else");
    file_.version_ = take<std::uint32_t>("the version");
    if (file_.version_ == 0x02000000u || file_.version_ == 0x03000000u)
      fail("the file is big-endian; expected little-endian", "convert it on a little-endian machine");
    if (file_.version_ != 2 && file_.version_ != 3)
      fail(fmt::format("expected GGUF version 2 or 3, got {}", file_.version_));
  }

  void parse_value() {
    const std::string key(take_string("a metadata key"));
    const std::string what = "the value of " + quote(key);
    Value value;
    value.type = static_cast<GgufType>(take<std::uint32_t>(what));
    if (value.type == GgufType::array) {
      value.is_array = true;
      value.type = static_cast<GgufType>(take<std::uint32_t>(what));
      value.count = take<std::uint64_t>(what);
    }
    if (value.type == GgufType::string) {
      check_count(value.count, sizeof(std::uint64_t), "strings in " + what);
      const std::size_t begin = at_;
      for (std::uint64_t i = 0; i < value.count; ++i) (void)take_string(what);
      value.payload = bytes_.subspan(begin, at_ - begin);
    } else {
      const std::uint64_t size = scalar_bytes(value.type);
      if (size == 0)
        fail(fmt::format("{}: expected a number, bool, string or an array of these, got {}type {}", what,
                         value.is_array ? "an array of " : "", static_cast<std::uint32_t>(value.type)));
      check_count(value.count, size, "elements in " + what);
      value.payload = take_bytes(value.count * size, what);
    }
    if (!file_.values_.emplace(key, value).second) fail(fmt::format("the key {} appears twice", quote(key)));
  }

  void parse_tensor() {
    GgufTensor tensor;
    tensor.name = take_string("a tensor's name");
    const std::string what = "tensor " + quote(tensor.name);
    const auto n_dimensions = take<std::uint32_t>(what);
    if (n_dimensions > most_dimensions)
      fail(fmt::format("{}: expected at most {} dimensions, got {}", what, most_dimensions, n_dimensions));
    std::uint64_t numel = 1;
    for (std::uint32_t d = 0; d < n_dimensions; ++d) {
      const auto size = take<std::uint64_t>(what);
      if (size > std::uint64_t{std::numeric_limits<std::int64_t>::max()} / std::max<std::uint64_t>(numel, 1))
        fail(fmt::format("{}: the number of elements overflows at dimension {} of size {}", what, d, size));
      numel *= size;
      tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.type = take<std::uint32_t>(what);
    tensor.offset = take<std::uint64_t>(what);
    if (!names_.insert(tensor.name).second) fail(what + " appears twice");
    file_.tensors_.push_back(std::move(tensor));
  }

  void locate_data() {
    const auto alignment = static_cast<std::uint64_t>(
        file_.find_integer("general.alignment").value_or(static_cast<std::int64_t>(default_alignment)));
    if (!std::has_single_bit(alignment) || alignment > largest_alignment)
      fail(fmt::format("general.alignment: expected a power of two up to {}, got {}", largest_alignment,
                       alignment));
    if (file_.tensors_.empty()) return;
    const std::uint64_t padding = (alignment - at_ % alignment) % alignment;
    (void)take_bytes(padding, "the padding before the tensors");
    file_.data_ = bytes_.subspan(at_);
    for (const GgufTensor& tensor : file_.tensors_) {
      if (tensor.offset % alignment != 0)
        fail(fmt::format("tensor {}: expected an offset that is a multiple of {}, got {}", quote(tensor.name),
                         alignment, tensor.offset));
      if (tensor.offset > file_.data_.size())
        fail(fmt::format("tensor {}: expected an offset of at most {}, got {}", quote(tensor.name),
                         file_.data_.size(), tensor.offset),
             "the file was probably not downloaded or copied completely");
    }
  }

  std::span<const std::byte> bytes_;
  GgufFile& file_;
  std::string doing_;
  std::size_t at_ = 0;
  std::set<std::string, std::less<>> names_;
};

GgufFile GgufFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  GgufFile file;
  file.name_ = name;
  Parser(bytes, file).parse();
  return file;
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  const auto mapping = std::make_shared<const MappedFile>(path);
  GgufFile file = parse(mapping->bytes(), path.string());
  file.mapping_ = mapping;
  return file;
}

std::vector<std::string> GgufFile::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : values_) out.push_back(key);
  return out;
}

void GgufFile::fail_type(std::string_view key, std::string_view expected, const Value& value) const {
  throw Error(ErrorKind::data, "reading GGUF file " + name_,
              fmt::format("key {}: expected {}, got {}{}", quote(key), expected,
                          value.is_array ? "an array of " : "", type_name(value.type)));
}

const GgufFile::Value& GgufFile::require(std::string_view key, std::string_view expected,
                                         bool is_array) const {
  const auto found = values_.find(key);
  TWISTOR_CHECK(found != values_.end(), ErrorKind::data, "reading GGUF file " + name_,
                fmt::format("key {}: expected {}, got no such key", quote(key), expected),
                "the file was made for another kind of model, or by an old converter");
  if (found->second.is_array != is_array) fail_type(key, expected, found->second);
  return found->second;
}

std::int64_t GgufFile::integer(std::string_view key) const {
  const Value& value = require(key, "an integer", false);
  if (!is_integer(value.type)) fail_type(key, "an integer", value);
  return integer_at(value.type, value.payload, 0, fmt::format("reading key {} of {}", quote(key), name_));
}

double GgufFile::number(std::string_view key) const {
  const Value& value = require(key, "a floating-point number", false);
  if (value.type != GgufType::f32 && value.type != GgufType::f64)
    fail_type(key, "a floating-point number", value);
  return number_at(value.type, value.payload, 0);
}

bool GgufFile::boolean(std::string_view key) const {
  const Value& value = require(key, "a bool", false);
  if (value.type != GgufType::boolean) fail_type(key, "a bool", value);
  return load<std::uint8_t>(value.payload) != 0;
}

std::string_view GgufFile::string(std::string_view key) const {
  const Value& value = require(key, "a string", false);
  if (value.type != GgufType::string) fail_type(key, "a string", value);
  return {reinterpret_cast<const char*>(value.payload.data()) + 8, value.payload.size() - 8};
}

std::vector<std::int64_t> GgufFile::integers(std::string_view key) const {
  const Value& value = require(key, "an array of integers", true);
  if (!is_integer(value.type)) fail_type(key, "an array of integers", value);
  const std::string doing = fmt::format("reading key {} of {}", quote(key), name_);
  std::vector<std::int64_t> out(value.count);
  for (std::uint64_t i = 0; i < value.count; ++i) out[i] = integer_at(value.type, value.payload, i, doing);
  return out;
}

std::vector<double> GgufFile::numbers(std::string_view key) const {
  const Value& value = require(key, "an array of floating-point numbers", true);
  if (value.type != GgufType::f32 && value.type != GgufType::f64)
    fail_type(key, "an array of floating-point numbers", value);
  std::vector<double> out(value.count);
  for (std::uint64_t i = 0; i < value.count; ++i) out[i] = number_at(value.type, value.payload, i);
  return out;
}

std::vector<std::string_view> GgufFile::strings(std::string_view key) const {
  const Value& value = require(key, "an array of strings", true);
  if (value.type != GgufType::string) fail_type(key, "an array of strings", value);
  std::vector<std::string_view> out;
  out.reserve(value.count);
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < value.count; ++i) {
    const auto size = load<std::uint64_t>(value.payload.subspan(at));
    out.emplace_back(reinterpret_cast<const char*>(value.payload.data()) + at + 8, size);
    at += 8 + size;
  }
  return out;
}

std::optional<std::int64_t> GgufFile::find_integer(std::string_view key) const {
  return has(key) ? std::optional(integer(key)) : std::nullopt;
}
std::optional<double> GgufFile::find_number(std::string_view key) const {
  return has(key) ? std::optional(number(key)) : std::nullopt;
}
std::optional<bool> GgufFile::find_boolean(std::string_view key) const {
  return has(key) ? std::optional(boolean(key)) : std::nullopt;
}
std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  return has(key) ? std::optional(string(key)) : std::nullopt;
}

}  // namespace twistor::format
