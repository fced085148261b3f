// The vocabulary of a GGUF file: the keys tokenizer.ggml.*.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/quote.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

// Values of tokenizer.ggml.token_type that mark added tokens.
constexpr std::int64_t type_control = 3;
constexpr std::int64_t type_user_defined = 4;

// tokenizer.ggml.pre: which pre-tokenizer the vocabulary was trained with. A new one is one line here.
struct PreKind {
  std::string_view name;
  bool splits_digits;  // before GPT-2's pattern
};
constexpr std::array pre_kinds{PreKind{"default", false}, PreKind{"gpt-2", false}, PreKind{"smollm", true},
                               PreKind{"starcoder", true}, PreKind{"refact", true}};

PreTokenizer make_pre_tokenizer(std::string_view pre, const std::string& doing) {
  std::string list;
  for (const PreKind& kind : pre_kinds) {
    if (kind.name == pre)
      return PreTokenizer(kind.splits_digits ? std::vector{CutStep::each_digit, CutStep::gpt2}
                                             : std::vector{CutStep::gpt2});
    list += (list.empty() ? "" : ", ") + std::string(kind.name);
  }
  throw Error(ErrorKind::data, doing, fmt::format("tokenizer.ggml.pre: {} is not supported", quote(pre)),
              "supported: " + list);
}

std::vector<AddedToken> read_added_tokens(const GgufFile& file, const std::vector<std::string_view>& tokens,
                                          const std::string& doing) {
  std::vector<AddedToken> added;
  if (!file.has("tokenizer.ggml.token_type")) return added;
  const auto types = file.integers("tokenizer.ggml.token_type");
  TWISTOR_CHECK(types.size() == tokens.size(), ErrorKind::data, doing,
                fmt::format("tokenizer.ggml.token_type: expected one type for each of {} tokens, got {}",
                            tokens.size(), types.size()));
  for (std::size_t i = 0; i < types.size(); ++i)
    if ((types[i] == type_control || types[i] == type_user_defined) && !tokens[i].empty())
      added.push_back({.content = std::string(tokens[i]),
                       .id = static_cast<std::int64_t>(i),
                       .is_special = types[i] == type_control});
  return added;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_of_gguf(const GgufFile& file) {
  const std::string doing = "reading the tokenizer of " + file.name();
  const auto model = file.find_string("tokenizer.ggml.model");
  if (!model) return nullptr;
  TWISTOR_CHECK(*model == "gpt2", ErrorKind::data, doing,
                fmt::format("tokenizer.ggml.model: {} is not supported", quote(*model)),
                "supported: gpt2 (byte-level BPE)");
  const auto tokens = file.strings("tokenizer.ggml.tokens");
  const auto merges = file.strings("tokenizer.ggml.merges");
  TokenizerParts parts;
  parts.pre_tokenizer = make_pre_tokenizer(file.find_string("tokenizer.ggml.pre").value_or("default"), doing);
  parts.added = AddedTokens(read_added_tokens(file, tokens, doing));
  parts.model = make_byte_bpe(Vocabulary::from_list(tokens), merges, doing);
  parts.end.id = file.find_integer("tokenizer.ggml.eos_token_id");
  TWISTOR_CHECK(
      !parts.end.id || (*parts.end.id >= 0 && *parts.end.id < static_cast<std::int64_t>(tokens.size())),
      ErrorKind::data, doing,
      fmt::format("tokenizer.ggml.eos_token_id: expected an id of the {} tokens, got {}", tokens.size(),
                  *parts.end.id));
  parts.decoder = byte_level_decoder();
  parts.source = "GGUF";
  return make_tokenizer(std::move(parts), doing);
}

}  // namespace twistor::text
