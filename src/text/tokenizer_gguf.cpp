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

// What byte-level vocabularies were trained behind, as tokenizer.json would have it.
constexpr std::string_view byte_level = R"({"type": "ByteLevel", "add_prefix_space": false})";
constexpr std::string_view digits_then_byte_level = R"({"type": "Sequence", "pretokenizers": [
  {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false}]})";
constexpr std::string_view llama3 =
    R"json({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated",
  "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
  {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})json";
constexpr std::string_view qwen2 =
    R"json({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated",
  "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
  {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})json";

// tokenizer.ggml.pre: which pre-tokenizer goes with the vocabulary. A new one is one line here.
struct PreKind {
  std::string_view name;
  std::string_view pre_tokenizer;
  bool whole_words_first = false;  // a piece that is a token is not built from merges
};
constexpr std::array pre_kinds{
    PreKind{"default", byte_level},
    PreKind{"gpt-2", byte_level},
    PreKind{"phi-2", byte_level},
    PreKind{"mpt", byte_level},
    PreKind{"olmo", byte_level},
    PreKind{"roberta-bpe", byte_level},
    PreKind{"smollm", digits_then_byte_level},
    PreKind{"starcoder", digits_then_byte_level},
    PreKind{"refact", digits_then_byte_level},
    PreKind{"command-r", digits_then_byte_level},
    PreKind{"codeshell", digits_then_byte_level},
    PreKind{"exaone", digits_then_byte_level},
    PreKind{"minerva-7b", digits_then_byte_level},
    PreKind{"llama-bpe", llama3, true},
    PreKind{"llama3", llama3, true},
    PreKind{"llama-v3", llama3, true},
    PreKind{"falcon3", llama3, true},
    PreKind{"pixtral", llama3, true},
    PreKind{"dbrx", llama3},
    PreKind{"smaug-bpe", llama3},
    PreKind{"qwen2", qwen2},
    PreKind{"deepseek-r1-qwen", qwen2},
    PreKind{"stablelm2", qwen2},
    PreKind{"megrez", qwen2},
};

const PreKind& find_pre_kind(std::string_view pre, const std::string& doing) {
  std::string list;
  for (const PreKind& kind : pre_kinds) {
    if (kind.name == pre) return kind;
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
  const PreKind& pre = find_pre_kind(file.find_string("tokenizer.ggml.pre").value_or("default"), doing);
  parts.pre_tokenizer = PreTokenizer::from_text(pre.pre_tokenizer);
  (void)parts.pre_tokenizer.release_byte_symbols();
  parts.added = AddedTokens(read_added_tokens(file, tokens, doing));
  parts.model = make_byte_bpe(Vocabulary::from_list(tokens), merges, doing, pre.whole_words_first);
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
