// SPDX-License-Identifier: Apache-2.0
// The vocabulary of a GGUF file: the keys tokenizer.ggml.*.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/gguf_export.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

// Values of tokenizer.ggml.token_type.
constexpr std::int64_t type_normal = 1;
constexpr std::int64_t type_unknown = 2;
constexpr std::int64_t type_control = 3;
constexpr std::int64_t type_user_defined = 4;
constexpr std::int64_t type_byte = 6;

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

constexpr std::string_view qwen35 =
    R"json({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated",
  "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
  {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})json";
constexpr std::string_view tekken =
    R"json({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated",
  "pattern": {"Regex": "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
  {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})json";

// tokenizer.ggml.pre: which pre-tokenizer goes with the vocabulary. A new one is one line here.
struct PreKind {
  std::string_view name;
  std::string_view pre_tokenizer;
  bool whole_words_first = false;  // a piece that is a token is not built from merges
  bool adds_begin = false;         // texts begin with the beginning-of-text token, unless the file says no
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
    PreKind{"llama-bpe", llama3, true, true},
    PreKind{"llama3", llama3, true, true},
    PreKind{"llama-v3", llama3, true, true},
    PreKind{"falcon3", llama3, true, true},
    PreKind{"pixtral", llama3, true, true},
    PreKind{"dbrx", llama3},
    PreKind{"smaug-bpe", llama3},
    PreKind{"qwen2", qwen2},
    PreKind{"deepseek-r1-qwen", qwen2},
    PreKind{"stablelm2", qwen2},
    PreKind{"megrez", qwen2},
    PreKind{"qwen35", qwen35},
    PreKind{"tekken", tekken, true},
};

const PreKind& find_pre_kind(std::string_view pre, const std::string& doing) {
  std::string list;
  for (const PreKind& kind : pre_kinds) {
    if (kind.name == pre) return kind;
    list += (list.empty() ? "" : ", ") + std::string(kind.name);
  }
  throw Error(ErrorKind::data, doing,
              fmt::format("tokenizer.ggml.pre: {} is not supported", format::quote(pre)),
              "supported: " + list);
}

// What every kind of vocabulary has.
struct GgufVocabulary {
  const format::GgufFile& file;
  std::vector<std::string_view> tokens;
  std::string doing;

  // The value of a key that holds the id of a token.
  [[nodiscard]] std::optional<std::int64_t> find_id(std::string_view key) const {
    const auto id = file.find_integer(key);
    TWISTOR_CHECK(!id || (*id >= 0 && *id < std::ssize(tokens)), ErrorKind::data, doing,
                  fmt::format("{}: expected an id of the {} tokens, got {}", key, tokens.size(), *id));
    return id;
  }
};

// Tokens without a type are normal.
std::vector<std::int64_t> read_types(const GgufVocabulary& in) {
  if (!in.file.has("tokenizer.ggml.token_type"))
    return std::vector<std::int64_t>(in.tokens.size(), type_normal);
  auto types = in.file.integers("tokenizer.ggml.token_type");
  TWISTOR_CHECK(types.size() == in.tokens.size(), ErrorKind::data, in.doing,
                fmt::format("tokenizer.ggml.token_type: expected one type for each of {} tokens, got {}",
                            in.tokens.size(), types.size()));
  return types;
}

std::vector<AddedToken> added_tokens(const GgufVocabulary& in, const std::vector<std::int64_t>& types) {
  std::vector<AddedToken> added;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const bool is_special = types[i] == type_control || types[i] == type_unknown;
    if ((is_special || types[i] == type_user_defined) && !in.tokens[i].empty())
      added.push_back({.content = std::string(in.tokens[i]),
                       .id = static_cast<std::int64_t>(i),
                       .is_special = is_special});
  }
  return added;
}

// Beginning- and end-of-text tokens around every text, where the file asks for them.
TextTemplate read_template(const GgufVocabulary& in, bool adds_begin_by_default) {
  TextTemplate out;
  const auto adds_begin = in.file.find_boolean("tokenizer.ggml.add_bos_token");
  out.rule = adds_begin ? "tokenizer.ggml.add_bos_token" : "the kind of the GGUF file's tokenizer";
  if (adds_begin.value_or(adds_begin_by_default))
    if (const auto id = in.find_id("tokenizer.ggml.bos_token_id")) out.before = {{*id, 0}};
  if (in.file.find_boolean("tokenizer.ggml.add_eos_token").value_or(false))
    if (const auto id = in.find_id("tokenizer.ggml.eos_token_id")) out.after = {{*id, 0}};
  return out;
}

TokenizerParts read_byte_bpe(const GgufVocabulary& in) {
  const auto merges = in.file.strings("tokenizer.ggml.merges");
  TokenizerParts parts;
  const PreKind& pre = find_pre_kind(in.file.find_string("tokenizer.ggml.pre").value_or("default"), in.doing);
  parts.pre_tokenizer = PreTokenizer::from_text(pre.pre_tokenizer);
  (void)parts.pre_tokenizer.release_byte_symbols();
  parts.added = AddedTokens(added_tokens(in, read_types(in)));
  parts.model = make_byte_bpe(Vocabulary::from_list(in.tokens), merges, in.doing, pre.whole_words_first);
  parts.special = read_template(in, pre.adds_begin);
  parts.decoder = byte_level_decoder();
  return parts;
}

// Llama 2's normalizer and decoder, as tokenizer.json would have them; without the space in front where
// add_space_prefix is false.
constexpr std::string_view mark_spaces =
    R"({"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})";
constexpr std::string_view mark_spaces_and_front = R"({"type": "Sequence", "normalizers": [
  {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]})";
constexpr std::string_view unmark_spaces = R"({"type": "Sequence", "decoders": [
  {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]})";
constexpr std::string_view unmark_spaces_and_front = R"({"type": "Sequence", "decoders": [
  {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
  {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";

template <class Read>
auto read_text(std::string_view json, const std::string& doing, Read read) {
  const nlohmann::json document = format::parse_json(json, doing);
  return read(format::JsonView(document, doing));
}

TokenizerParts read_score_bpe(const GgufVocabulary& in) {
  const std::vector<std::int64_t> types = read_types(in);
  ScoredVocabulary vocabulary;
  for (std::size_t i = 0; i < in.tokens.size(); ++i) {
    const bool is_new = vocabulary.vocabulary.add(in.tokens[i], static_cast<std::int64_t>(i));
    TWISTOR_CHECK(is_new, ErrorKind::data, in.doing,
                  fmt::format("tokenizer.ggml.tokens: {} is there twice", format::quote(in.tokens[i])));
    vocabulary.is_text.push_back(types[i] != type_control && types[i] != type_unknown &&
                                 types[i] != type_byte);
  }
  vocabulary.scores = in.file.numbers("tokenizer.ggml.scores");
  vocabulary.unknown_id = in.find_id("tokenizer.ggml.unknown_token_id");
  const bool adds_space = in.file.find_boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  TokenizerParts parts;
  parts.normalizer = read_text(adds_space ? mark_spaces_and_front : mark_spaces, in.doing, read_normalizer);
  parts.added = AddedTokens(added_tokens(in, types));
  parts.model = make_score_bpe(std::move(vocabulary), in.doing);
  parts.special = read_template(in, true);
  parts.decoder = read_text(adds_space ? unmark_spaces_and_front : unmark_spaces, in.doing, read_decoder);
  return parts;
}

// Words begin with U+2581 there, continuations with nothing, and [names] are spelled as they are.
std::string word_piece_spelling(std::string_view token) {
  constexpr std::string_view word_mark = "\u2581";
  if (token.starts_with('[') && token.ends_with(']')) return std::string(token);
  if (token.starts_with(word_mark)) return std::string(token.substr(word_mark.size()));
  return "##" + std::string(token);
}

TokenizerParts read_bert(const GgufVocabulary& in) {
  std::vector<std::string> spelled;
  for (const std::string_view token : in.tokens) spelled.push_back(word_piece_spelling(token));
  BertOptions options;
  for (const auto& [key, target] : {std::pair{"tokenizer.ggml.unknown_token_id", &options.unknown},
                                    std::pair{"tokenizer.ggml.cls_token_id", &options.cls},
                                    std::pair{"tokenizer.ggml.seperator_token_id", &options.sep},
                                    std::pair{"tokenizer.ggml.padding_token_id", &options.pad},
                                    std::pair{"tokenizer.ggml.mask_token_id", &options.mask}})
    if (const auto id = in.find_id(key)) *target = spelled[static_cast<std::size_t>(*id)];
  return make_bert_parts(Vocabulary::from_list({spelled.begin(), spelled.end()}), options, in.doing);
}

// tokenizer.ggml.model; a new kind is one function and one line here.
struct GgufModelKind {
  std::string_view type;
  std::string_view meaning;
  TokenizerParts (*read)(const GgufVocabulary& in);
};
constexpr std::array model_kinds{GgufModelKind{"gpt2", "byte-level BPE", read_byte_bpe},
                                 GgufModelKind{"llama", "sentencepiece's BPE", read_score_bpe},
                                 GgufModelKind{"bert", "WordPiece", read_bert}};

const GgufModelKind& find_model_kind(std::string_view model, const std::string& doing) {
  std::string list;
  for (const GgufModelKind& kind : model_kinds) {
    if (kind.type == model) return kind;
    list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", kind.type, kind.meaning);
  }
  throw Error(ErrorKind::data, doing,
              fmt::format("tokenizer.ggml.model: {} is not supported", format::quote(model)),
              "supported: " + list);
}

// Fields that other readers of tokenizer.json ask for, and this one does not.
void complete_pre_tokenizer(nlohmann::json& json) {
  if (json.contains("pretokenizers"))
    for (nlohmann::json& part : json["pretokenizers"]) complete_pre_tokenizer(part);
  if (json["type"] == "ByteLevel") json["trim_offsets"] = true;
  if (json["type"] == "Split") json["invert"] = false;
}

nlohmann::json template_json(const TextTemplate& special, const std::vector<std::string_view>& tokens) {
  using nlohmann::json;
  if (special.before.empty() && special.after.empty())
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", true}};
  json single = json::array(), pair = json::array(), defined = json::object();
  const auto add_special = [&](const std::vector<SpecialToken>& list) {
    for (const SpecialToken& token : list) {
      const std::string name(tokens[static_cast<std::size_t>(token.id)]);
      defined[name] = {{"id", name}, {"ids", {token.id}}, {"tokens", {name}}};
      for (json* form : {&single, &pair})
        form->push_back({{"SpecialToken", {{"id", name}, {"type_id", token.type_id}}}});
    }
  };
  const auto text_of = [](const char* id, int type_id) {
    return json{{"Sequence", {{"id", id}, {"type_id", type_id}}}};
  };
  add_special(special.before);
  single.push_back(text_of("A", 0));
  pair.push_back(text_of("A", 0));
  pair.push_back(text_of("B", 1));
  add_special(special.after);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", defined}};
}

nlohmann::json added_tokens_json(const std::vector<AddedToken>& added) {
  nlohmann::json out = nlohmann::json::array();
  for (const AddedToken& token : added)
    out.push_back({{"id", token.id},
                   {"content", token.content},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false},
                   {"normalized", false},
                   {"special", token.is_special}});
  return out;
}

/// tokenizer.json of what read_byte_bpe() reads.
nlohmann::json byte_bpe_json(const GgufVocabulary& in) {
  const PreKind& pre = find_pre_kind(in.file.find_string("tokenizer.ggml.pre").value_or("default"), in.doing);
  nlohmann::json pre_tokenizer = format::parse_json(pre.pre_tokenizer, in.doing);
  complete_pre_tokenizer(pre_tokenizer);
  nlohmann::json vocabulary = nlohmann::json::object();
  for (std::size_t i = 0; i < in.tokens.size(); ++i) vocabulary[std::string(in.tokens[i])] = i;
  nlohmann::json merges = nlohmann::json::array();
  for (const std::string_view merge : in.file.strings("tokenizer.ggml.merges")) merges.push_back(merge);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens_json(added_tokens(in, read_types(in)))},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer},
          {"post_processor", template_json(read_template(in, pre.adds_begin), in.tokens)},
          {"decoder",
           {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", pre.whole_words_first},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

/// In the order of Tokenizer::end_ids().
std::vector<std::int64_t> ends_of_gguf(const GgufVocabulary& in) {
  std::vector<std::int64_t> ids;
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const auto id = in.find_id(key)) ids.push_back(*id);
  return ids;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_of_gguf(const format::GgufFile& file) {
  const std::string doing = "reading the tokenizer of " + file.name();
  const auto model = file.find_string("tokenizer.ggml.model");
  if (!model) return nullptr;
  const GgufModelKind& kind = find_model_kind(*model, doing);
  const GgufVocabulary vocabulary{file, file.strings("tokenizer.ggml.tokens"), doing};
  TokenizerParts parts = kind.read(vocabulary);
  parts.end.ids = ends_of_gguf(vocabulary);
  parts.source = "GGUF";
  return make_tokenizer(std::move(parts), doing);
}

std::map<std::string, std::string> tokenizer_files_of_gguf(const format::GgufFile& file) {
  const std::string doing = "writing the tokenizer of " + file.name();
  const auto model = file.find_string("tokenizer.ggml.model");
  if (!model) return {};
  TWISTOR_CHECK(*model == "gpt2", ErrorKind::config, doing,
                fmt::format("tokenizer.ggml.model is {}, and tokenizer.json is written for gpt2 alone",
                            format::quote(*model)),
                "give model.path the model's folder in Hugging Face's layout");
  const GgufVocabulary in{file, file.strings("tokenizer.ggml.tokens"), doing};
  nlohmann::json config{{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"clean_up_tokenization_spaces", false}};
  for (const auto& [key, name] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token"},
                                  {"tokenizer.ggml.eos_token_id", "eos_token"},
                                  {"tokenizer.ggml.padding_token_id", "pad_token"},
                                  {"tokenizer.ggml.unknown_token_id", "unk_token"}})
    if (const auto id = in.find_id(key)) config[name] = in.tokens[static_cast<std::size_t>(*id)];
  std::map<std::string, std::string> out{{"tokenizer.json", byte_bpe_json(in).dump(1) + "\n"},
                                         {"tokenizer_config.json", config.dump(2) + "\n"}};
  if (const auto ends = ends_of_gguf(in); !ends.empty())
    out["generation_config.json"] = nlohmann::json{{"eos_token_id", ends}}.dump(2) + "\n";
  if (const auto chat = file.find_string("tokenizer.chat_template"))
    out["chat_template.jinja"] = std::string(*chat);
  return out;
}

}  // namespace twistor::text
