// SPDX-License-Identifier: Apache-2.0
// SentencePiece's character map (Kudo and Richardson 2018), as the normalizer "Precompiled" carries it: a
// double-array trie of what is replaced, and the replacements one after another with a NUL between them.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/text/normalizer.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

// RFC 4648, section 4. nullopt if a character is none of its alphabet.
std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    const std::size_t digit = alphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    out += static_cast<char>(static_cast<unsigned char>((bits >> n_bits) & 0xff));
  }
  return out;
}

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t out = 0;
  for (std::size_t i = 4; i-- > 0;) out = (out << 8) | static_cast<unsigned char>(bytes[i]);
  return out;
}

// A unit of a double array: label and value share 31 bits, as in Darts-clone.
struct Unit {
  std::uint32_t bits;
  [[nodiscard]] bool has_leaf() const { return ((bits >> 8) & 1u) != 0; }
  [[nodiscard]] std::uint32_t value() const { return bits & 0x7fffffffu; }
  [[nodiscard]] std::uint32_t label() const { return bits & 0x800000ffu; }
  [[nodiscard]] std::uint32_t offset() const { return (bits >> 10) << ((bits & 0x200u) >> 6); }
};

class CharacterMap {
 public:
  explicit CharacterMap(const format::JsonView& json) {
    const auto bytes = decode_base64(json.string());
    if (!bytes) json.fail("expected base64 (A-Z, a-z, 0-9, + and /)");
    const std::size_t n_trie = bytes->size() < 4 ? 0 : little_endian(*bytes);
    if (n_trie == 0 || n_trie % 4 != 0 || n_trie > bytes->size() - 4)
      json.fail(fmt::format(
          "expected the size of a trie and its bytes, a multiple of 4, got {} bytes that announce {}",
          bytes->size(), n_trie));
    for (std::size_t at = 4; at < 4 + n_trie; at += 4)
      units_.push_back({little_endian(std::string_view(*bytes).substr(at, 4))});
    replacements_ = bytes->substr(4 + n_trie);
  }

  // What the shortest beginning of `key` that is in the map becomes; nullopt if none is.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const {
    std::size_t at = units_[0].offset();
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      at ^= byte;
      if (byte == 0 || at >= units_.size() || units_[at].label() != byte) return std::nullopt;
      const bool is_key = units_[at].has_leaf();
      at ^= units_[at].offset();
      if (is_key) return at < units_.size() ? replacement(units_[at].value()) : std::nullopt;
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::optional<std::string_view> replacement(std::size_t begin) const {
    constexpr std::size_t longest_bytes = 1024;  // U+FDFA becomes 33 bytes
    if (begin >= replacements_.size()) return std::nullopt;
    const std::size_t end = std::min(replacements_.find('\0', begin), replacements_.size());
    TWISTOR_CHECK(end - begin <= longest_bytes, ErrorKind::data, "normalizing a text",
                  fmt::format("the character map has a replacement of {} bytes, expected at most {}",
                              end - begin, longest_bytes));
    return std::string_view(replacements_).substr(begin, end - begin);
  }

  std::vector<Unit> units_;
  std::string replacements_;
};

// Where the grapheme cluster (Unicode Standard Annex #29) that begins at byte `at` ends.
std::size_t grapheme_end(std::string_view text, std::size_t at) {
  CodePoint before = next_code_point(text, at);
  at += before.size;
  utf8proc_int32_t state = 0;
  while (before.is_valid && at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (!point.is_valid ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before.value),
                                         static_cast<utf8proc_int32_t>(point.value), &state))
      break;
    at += point.size;
    before = point;
  }
  return at;
}

void append_mapped(std::string& out, const CharacterMap& map, std::string_view cluster) {
  constexpr std::size_t shortest_split_bytes =
      6;  // as in the reference: longer ones go character by character
  if (cluster.size() < shortest_split_bytes)
    if (const auto found = map.find(cluster)) {
      out += *found;
      return;
    }
  for (std::size_t at = 0; at < cluster.size();) {
    const std::string_view character = cluster.substr(at, next_code_point(cluster, at).size);
    out += map.find(character).value_or(character);
    at += character.size();
  }
}

}  // namespace

Normalizer make_precompiled(const format::JsonView& json) {
  return [map = CharacterMap(json.at("precompiled_charsmap"))](std::string& text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = grapheme_end(text, at);
      append_mapped(out, map, std::string_view(text).substr(at, end - at));
      at = end;
    }
    text = std::move(out);
  };
}

}  // namespace twistor::text
