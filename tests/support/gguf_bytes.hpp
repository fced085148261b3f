// SPDX-License-Identifier: Apache-2.0
// GGUF files made in memory, well-formed or not, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::test {

/// Appends fields as they lie in a GGUF file. Everything is public so that tests can break it.
struct GgufBytes {
  std::string header_values;
  std::string header_tensors;
  std::string data;
  std::uint32_t version = 3;
  std::uint64_t n_values = 0;
  std::uint64_t n_tensors = 0;
  std::uint64_t alignment = 32;

  template <class T>
  static void put(std::string& out, T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
  }
  static void put_string(std::string& out, std::string_view text) {
    put<std::uint64_t>(out, text.size());
    out += text;
  }

  template <class T>
  GgufBytes& value(std::string_view key, std::uint32_t type, T number) {
    put_string(header_values, key);
    put(header_values, type);
    put(header_values, number);
    ++n_values;
    return *this;
  }
  GgufBytes& u32(std::string_view key, std::uint32_t number) { return value(key, 4, number); }
  GgufBytes& string(std::string_view key, std::string_view text) {
    put_string(header_values, key);
    put<std::uint32_t>(header_values, 8);
    put_string(header_values, text);
    ++n_values;
    return *this;
  }
  GgufBytes& array_head(std::string_view key, std::uint32_t type, std::uint64_t count) {
    put_string(header_values, key);
    put<std::uint32_t>(header_values, 9);
    put(header_values, type);
    put(header_values, count);
    ++n_values;
    return *this;
  }
  GgufBytes& strings(std::string_view key, const std::vector<std::string>& list) {
    array_head(key, 8, list.size());
    for (const auto& text : list) put_string(header_values, text);
    return *this;
  }
  GgufBytes& i32s(std::string_view key, const std::vector<std::int32_t>& list) {
    array_head(key, 5, list.size());
    for (const auto number : list) put(header_values, number);
    return *this;
  }
  /// Dimensions in the file's order, innermost first.
  GgufBytes& tensor_entry(std::string_view name, std::uint32_t type,
                          const std::vector<std::uint64_t>& dimensions, std::uint64_t offset) {
    put_string(header_tensors, name);
    put(header_tensors, static_cast<std::uint32_t>(dimensions.size()));
    for (const auto size : dimensions) put(header_tensors, size);
    put(header_tensors, type);
    put(header_tensors, offset);
    ++n_tensors;
    return *this;
  }
  /// An entry with its bytes, padded to the alignment.
  GgufBytes& tensor(std::string_view name, std::uint32_t type, const std::vector<std::uint64_t>& dimensions,
                    std::string_view bytes) {
    tensor_entry(name, type, dimensions, data.size());
    data += bytes;
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    return *this;
  }

  [[nodiscard]] std::string build() const {
    std::string out = "GGUF";
    put(out, version);
    put(out, n_tensors);
    put(out, n_values);
    out += header_values + header_tensors;
    if (n_tensors > 0) out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }
};

[[nodiscard]] inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A byte-level vocabulary of a few letters: a b c Ġ ab Ġab, and a control token.
[[nodiscard]] inline GgufBytes small_vocabulary(std::string_view pre = "gpt-2") {
  GgufBytes gguf;
  gguf.string("general.architecture", "llama")
      .string("tokenizer.ggml.model", "gpt2")
      .string("tokenizer.ggml.pre", pre);
  gguf.strings("tokenizer.ggml.tokens", {"<|end|>", "a", "b", "c", "\u0120", "ab", "\u0120ab"});
  gguf.i32s("tokenizer.ggml.token_type", {3, 1, 1, 1, 1, 1, 1});
  gguf.strings("tokenizer.ggml.merges", {"a b", "\u0120 ab"});
  gguf.u32("tokenizer.ggml.eos_token_id", 0);
  return gguf;
}

}  // namespace twistor::test
