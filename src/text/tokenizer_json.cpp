// tokenizer.json, and the older pair vocab.json + merges.txt.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/quote.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

// The registry: a new kind (WordPiece, Unigram, score-based BPE) is one source file and one line here.
constexpr std::array token_model_kinds{
    TokenModelKind{"BPE", true, "ByteLevel", [](const JsonView& model) { return make_byte_bpe(model); }},
    TokenModelKind{"WordLevel", false, "", make_word_level},
};

const TokenModelKind& find_kind(const JsonView& model) {
  // The oldest files have no "type", and were BPE if they have merges.
  const auto type = model.find("type");
  const std::string name = type ? type->string() : model.find("merges") ? "BPE" : "WordLevel";
  std::string list;
  for (const TokenModelKind& kind : token_model_kinds) {
    if (kind.type == name) return kind;
    list += (list.empty() ? "" : ", ") + std::string(kind.type);
  }
  model.fail(fmt::format("the tokenizer model {} is not supported", quote(name)), "supported: " + list);
}

bool flag(const JsonView& json, std::string_view key) {
  const auto member = json.find(key);
  return member && member->boolean();
}

AddedTokens read_added_tokens(const JsonView& list, const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  std::set<std::int64_t> ids;
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const JsonView item = list.item(i);
    AddedToken token;
    token.content = item.at("content").string();
    token.id = item.at("id").integer(0, std::numeric_limits<std::int32_t>::max());
    if (token.content.empty()) item.fail("expected a token, got an empty one");
    const auto known_id = vocabulary.find(token.content);
    const std::string* known_token = vocabulary.token(token.id);
    if ((known_id && *known_id != token.id) || (known_token != nullptr && *known_token != token.content))
      item.fail(fmt::format("{} with id {} contradicts the vocabulary", quote(token.content), token.id));
    if (!ids.insert(token.id).second) item.fail(fmt::format("the id {} appears twice", token.id));
    token.is_special = flag(item, "special");
    token.single_word = flag(item, "single_word");
    token.lstrip = flag(item, "lstrip");
    token.rstrip = flag(item, "rstrip");
    token.normalized = flag(item, "normalized");
    tokens.push_back(std::move(token));
  }
  return AddedTokens(std::move(tokens));
}

void refuse_other(const std::optional<JsonView>& part, std::string_view what, std::string_view supported) {
  if (!part) return;
  const std::string& type = part->at("type").string();
  if (type != supported)
    part->fail(fmt::format("the {} {} is not supported here", what, quote(type)),
               supported.empty() ? "supported: none (null)" : fmt::format("supported: {}", supported));
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view json, const std::string& name,
                                                const EndOfText& end) {
  const std::string doing = "reading tokenizer " + name;
  const nlohmann::json document = parse_json(json, doing);
  const JsonView root(document, doing);
  const JsonView model = root.at("model");
  const TokenModelKind& kind = find_kind(model);
  refuse_other(root.find("normalizer"), "normalizer", "");
  refuse_other(root.find("decoder"), "decoder", kind.decoder);
  TokenizerParts parts;
  bool byte_level = false;
  if (const auto pre = root.find("pre_tokenizer"))
    parts.pre_tokenizer = PreTokenizer::from_json(*pre, byte_level);
  if (byte_level != kind.needs_byte_level)
    root.fail(fmt::format("the tokenizer model {} {} ByteLevel at the end of pre_tokenizer", kind.type,
                          kind.needs_byte_level ? "is supported only with" : "does not go with"));
  parts.model = kind.make(model);
  if (const auto added = root.find("added_tokens"))
    parts.added = read_added_tokens(*added, parts.model->vocabulary());
  parts.end = end;
  parts.source = "tokenizer.json";
  return make_tokenizer(std::move(parts));
}

std::unique_ptr<Tokenizer> parse_vocab_merges(std::string_view vocab_json, std::string_view merges_txt,
                                              const std::string& name, const EndOfText& end) {
  const std::string doing = "reading tokenizer " + name;
  const nlohmann::json document = parse_json(vocab_json, doing);
  Vocabulary vocabulary = Vocabulary::from_json(JsonView(document, doing));
  std::vector<std::string_view> merges;
  for (std::size_t at = 0; at < merges_txt.size();) {
    const std::size_t stop = std::min(merges_txt.find('\n', at), merges_txt.size());
    std::string_view line = merges_txt.substr(at, stop - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !(at == 0 && line.starts_with("#version"))) merges.push_back(line);
    at = stop + 1;
  }
  std::vector<AddedToken> added;
  for (const std::string_view token : {"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>"})
    if (const auto id = vocabulary.find(token))
      added.push_back({.content = std::string(token), .id = *id, .is_special = true});
  TokenizerParts parts;
  parts.model = make_byte_bpe(std::move(vocabulary), merges, doing);
  parts.pre_tokenizer = PreTokenizer({CutStep::gpt2});
  parts.added = AddedTokens(std::move(added));
  parts.end = end;
  parts.source = "vocab.json + merges.txt";
  return make_tokenizer(std::move(parts));
}

}  // namespace twistor::text
