// SPDX-License-Identifier: Apache-2.0
// The registry of decoders and all its kinds.
#include "twistor/text/decoder.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/component_kinds.hpp"
#include "twistor/text/replacement.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

using Tokens = std::vector<std::string>;

// One for each token besides: an empty token may become a space.
std::size_t n_bytes(const Tokens& tokens) {
  std::size_t n = tokens.size();
  for (const std::string& token : tokens) n += token.size();
  return n;
}

std::string without_byte_symbols(const std::string& token) {
  std::string out;
  for (std::size_t i = 0; i < token.size();) {
    const CodePoint point = next_code_point(token, i);
    const int byte = point.is_valid ? byte_of_symbol(point.value) : -1;
    if (byte < 0) return token;
    out += static_cast<char>(static_cast<unsigned char>(byte));
    i += point.size;
  }
  return out;
}

Decoder make_byte_level(const format::JsonView&) {
  return byte_level_decoder();
}

Decoder make_word_piece(const format::JsonView& json) {
  const std::string& prefix = json.at("prefix").string();
  return word_piece_decoder(prefix, json.at("cleanup").boolean());
}

Decoder make_fuse(const format::JsonView&) {
  return [](Tokens& tokens) {
    std::string joined;
    for (const std::string& token : tokens) joined += token;
    tokens.assign(1, std::move(joined));
  };
}

// <0x41> is the byte 0x41.
std::optional<char> fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned char byte = 0;
  const auto [end, problem] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (problem != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

// A run of bytes becomes one token, as in the reference: what follows may look at whole characters.
Decoder make_byte_fallback(const format::JsonView&) {
  return [](Tokens& tokens) {
    Tokens out;
    bool in_bytes = false;
    for (std::string& token : tokens) {
      const auto byte = fallback_byte(token);
      if (byte && in_bytes)
        out.back() += *byte;
      else
        out.push_back(byte ? std::string(1, *byte) : std::move(token));
      in_bytes = byte.has_value();
    }
    tokens = std::move(out);
  };
}

// "always", "first" or "never"; older files have add_prefix_space instead.
Decoder make_metaspace(const format::JsonView& json) {
  const std::string& replacement = json.at("replacement").string();
  const auto scheme = json.find("prepend_scheme");
  const auto add_prefix_space = json.find("add_prefix_space");
  if (scheme && scheme->string() != "always" && scheme->string() != "first" && scheme->string() != "never")
    scheme->fail("expected 'always', 'first' or 'never', got " + format::quote(scheme->string()));
  const bool is_prepended =
      scheme ? scheme->string() != "never" : !add_prefix_space || add_prefix_space->boolean();
  if (replacement.empty()) json.fail("replacement: expected a character, got none");
  return [replacement, is_prepended](Tokens& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], replacement, i == 0 && is_prepended ? "" : " ");
  };
}

Decoder make_replace(const format::JsonView& json) {
  return [replacement = Replacement::from_json(json)](Tokens& tokens) {
    for (std::string& token : tokens) replacement.apply(token);
  };
}

// At most `start` copies of a character at the front of each token and `stop` at its end.
Decoder make_strip(const format::JsonView& json) {
  constexpr std::int64_t most = 1 << 20;
  const std::string& content = json.at("content").string();
  if (content.empty()) json.fail("content: expected a character, got none");
  return [content, start = json.at("start").integer(0, most),
          stop = json.at("stop").integer(0, most)](Tokens& tokens) {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::int64_t i = 0; i < start && rest.starts_with(content); ++i)
        rest.remove_prefix(content.size());
      for (std::int64_t i = 0; i < stop && rest.ends_with(content); ++i) rest.remove_suffix(content.size());
      token = std::string(rest);
    }
  };
}

// The end-of-word suffix of the first BPEs (Sennrich et al. 2016) stands for a space, at the very end for
// none.
Decoder make_bpe(const format::JsonView& json) {
  const std::string& suffix = json.at("suffix").string();
  if (suffix.empty()) json.fail("suffix: expected a text, got an empty one");
  return [suffix](Tokens& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
  };
}

constexpr std::array kinds{
    DecoderKind{"ByteLevel", make_byte_level},
    DecoderKind{"WordPiece", make_word_piece},
    DecoderKind{"Metaspace", make_metaspace},
    DecoderKind{"BPEDecoder", make_bpe},
    DecoderKind{"ByteFallback", make_byte_fallback},
    DecoderKind{"Fuse", make_fuse},
    DecoderKind{"Replace", make_replace},
    DecoderKind{"Strip", make_strip},
};

}  // namespace

Decoder read_decoder(const format::JsonView& json) {
  std::vector<Decoder> steps;
  for_each_part(json, "decoders", [&](const format::JsonView& part) {
    steps.push_back(find_kind(kinds, part.at("type").string(), "decoder", part).make(part));
  });
  if (steps.size() == 1) return steps.front();
  return [steps = std::move(steps)](Tokens& tokens) {
    const std::size_t before = n_bytes(tokens);
    for (const Decoder& step : steps) {
      step(tokens);
      check_growth(before, n_bytes(tokens));
    }
  };
}

Decoder byte_level_decoder() {
  return [](Tokens& tokens) {
    for (std::string& token : tokens) token = without_byte_symbols(token);
  };
}

Decoder spacing_decoder() {
  return [](Tokens& tokens) {
    for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
  };
}

Decoder word_piece_decoder(std::string prefix, bool cleanup) {
  return [prefix = std::move(prefix), cleanup](Tokens& tokens) {
    using Rule = std::pair<std::string_view, std::string_view>;
    static constexpr std::array rules{Rule{" .", "."},     Rule{" ?", "?"},           Rule{" !", "!"},
                                      Rule{" ,", ","},     Rule{" ' ", "'"},          Rule{" n't", "n't"},
                                      Rule{" 'm", "'m"},   Rule{" do not", " don't"}, Rule{" 's", "'s"},
                                      Rule{" 've", "'ve"}, Rule{" 're", "'re"}};
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i].starts_with(prefix))
        tokens[i].erase(0, prefix.size());
      else if (i > 0)
        tokens[i].insert(0, 1, ' ');
      if (cleanup)
        for (const auto& [from, to] : rules) replace_all(tokens[i], from, to);
    }
  };
}

}  // namespace twistor::text
