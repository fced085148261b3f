// SPDX-License-Identifier: Apache-2.0
// tokenizer.json: the order of its parts and its table of models.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/component_kinds.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

// The registry: a new kind (WordPiece, Unigram, score-based BPE) is one source file and one line here.
constexpr std::array token_model_kinds{
    TokenModelKind{"BPE", true, make_bpe},
    TokenModelKind{
        "WordPiece", false,
        [](const format::JsonView& model, PieceForm form) { return make_word_piece(model, form); }},
    TokenModelKind{"WordLevel", false, make_word_level},
    TokenModelKind{"Unigram", false, make_unigram},
};

const TokenModelKind& kind_of(const format::JsonView& model) {
  // The oldest files have no "type", and were BPE if they have merges.
  const auto type = model.find("type");
  const std::string name = type ? type->string() : model.find("merges") ? "BPE" : "WordLevel";
  return find_kind(token_model_kinds, name, "tokenizer model", model);
}

bool flag(const format::JsonView& json, std::string_view key) {
  const auto member = json.find(key);
  return member && member->boolean();
}

AddedTokens read_added_tokens(const format::JsonView& list, const Vocabulary& vocabulary,
                              const Normalizer& normalizer) {
  std::vector<AddedToken> tokens;
  std::set<std::int64_t> ids;
  std::set<std::string> contents;
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const format::JsonView item = list.item(i);
    AddedToken token;
    token.content = item.at("content").string();
    token.id = item.at("id").integer(0, std::numeric_limits<std::int32_t>::max());
    if (token.content.empty()) item.fail("expected a token, got an empty one");
    const auto known_id = vocabulary.find(token.content);
    const std::string* known_token = vocabulary.token(token.id);
    if ((known_id && *known_id != token.id) || (known_token != nullptr && *known_token != token.content))
      item.fail(
          fmt::format("{} with id {} contradicts the vocabulary", format::quote(token.content), token.id));
    if (!ids.insert(token.id).second) item.fail(fmt::format("the id {} appears twice", token.id));
    if (!contents.insert(token.content).second) item.fail(format::quote(token.content) + " appears twice");
    token.is_special = flag(item, "special");
    token.single_word = flag(item, "single_word");
    token.lstrip = flag(item, "lstrip");
    token.rstrip = flag(item, "rstrip");
    token.normalized = flag(item, "normalized");
    tokens.push_back(std::move(token));
  }
  return AddedTokens(std::move(tokens), normalizer);
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view json, const std::string& name,
                                                const EndOfText& end, const BeginOfText& begin) {
  const std::string doing = "reading tokenizer " + name;
  return tokenizer_of_json(format::parse_json(json, doing), doing, "tokenizer.json", end, begin);
}

std::unique_ptr<Tokenizer> tokenizer_of_json(const nlohmann::json& document, const std::string& doing,
                                             std::string source, const EndOfText& end,
                                             const BeginOfText& begin) {
  const format::JsonView root(document, doing);
  const format::JsonView model = root.at("model");
  const TokenModelKind& kind = kind_of(model);
  TokenizerParts parts;
  if (const auto normalizer = root.find("normalizer")) parts.normalizer = read_normalizer(*normalizer);
  if (const auto pre = root.find("pre_tokenizer")) parts.pre_tokenizer = PreTokenizer::from_json(*pre);
  const bool as_bytes = kind.takes_bytes && parts.pre_tokenizer.release_byte_symbols();
  parts.model = kind.make(model, as_bytes ? PieceForm::bytes : PieceForm::text);
  if (const auto added = root.find("added_tokens"))
    parts.added = read_added_tokens(*added, parts.model->vocabulary(), parts.normalizer);
  if (const auto post = root.find("post_processor")) parts.special = read_post_processor(*post);
  if (const auto decoder = root.find("decoder")) parts.decoder = read_decoder(*decoder);
  parts.begin = begin;
  parts.end = end;
  parts.source = std::move(source);
  return make_tokenizer(std::move(parts), doing);
}

}  // namespace twistor::text
