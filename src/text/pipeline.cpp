// SPDX-License-Identifier: Apache-2.0
// The one Tokenizer there is: a pipeline whose parts differ.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

class Pipeline final : public Tokenizer {
 public:
  Pipeline(TokenizerParts parts, const std::string& doing) : parts_(std::move(parts)) {
    vocab_size_ = parts_.model->vocabulary().size();
    for (const AddedToken& token : parts_.added.tokens()) {
      vocab_size_ = std::max(vocab_size_, token.id + 1);
      added_ids_.try_emplace(token.content, token.id);
    }
    apply_begin();
    end_ids_ = find_end_ids();
    check_template(doing);
  }

  std::int64_t vocab_size() const override { return vocab_size_; }
  std::vector<std::int64_t> end_ids() const override { return end_ids_; }
  bool has_token(std::int64_t id) const override { return id >= 0 && spelling(id) != nullptr; }

  SpecialTokens special_tokens() const override {
    SpecialTokens out;
    for (const TextTemplate::Special& token : parts_.special.before) out.before.push_back(token.id);
    for (const TextTemplate::Special& token : parts_.special.after) out.after.push_back(token.id);
    out.rule = parts_.special.rule;
    return out;
  }

  std::vector<std::int64_t> encode(std::string_view text) const override {
    std::vector<std::int64_t> ids;
    for (const AddedTokens::Part& part : parts_.added.split_raw(text)) {
      const bool is_first = part.text.data() == text.data();
      if (part.id >= 0) {
        ids.push_back(part.id);
      } else if (parts_.normalizer) {
        std::string normalized(part.text);
        parts_.normalizer(normalized);
        encode_normalized(normalized, is_first, ids);
      } else {
        encode_normalized(part.text, is_first, ids);
      }
    }
    return ids;
  }

  Encoding encode_with_template(std::string_view text, std::int64_t max_tokens) const override {
    const TextTemplate& special = parts_.special;
    const std::int64_t room = room_beside(special.before.size() + special.after.size(), max_tokens);
    const std::vector<std::int64_t> ids = encode(text);
    Encoding out;
    append(out, special.before);
    append(out, ids, std::min(room, std::ssize(ids)), special.text_type_id);
    append(out, special.after);
    return out;
  }

  bool has_pair_form() const override { return parts_.special.pair.has_value(); }

  Encoding encode_pair(std::string_view first, std::string_view second,
                       std::int64_t max_tokens) const override {
    if (!parts_.special.pair) return Tokenizer::encode_pair(first, second, max_tokens);
    const PairTemplate& pair = *parts_.special.pair;
    const std::int64_t room =
        room_beside(pair.before.size() + pair.between.size() + pair.after.size(), max_tokens);
    const std::vector<std::int64_t> ids = encode(first), others = encode(second);
    const auto [n_first, n_second] = cut_longest_first(std::ssize(ids), std::ssize(others), room);
    Encoding out;
    append(out, pair.before);
    append(out, ids, n_first, pair.first_type_id);
    append(out, pair.between);
    append(out, others, n_second, pair.second_type_id);
    append(out, pair.after);
    return out;
  }

  std::string decode(std::span<const std::int64_t> ids) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const std::int64_t id : ids) {
      const std::string* token = spelling(id);
      TWISTOR_CHECK(token != nullptr, ErrorKind::usage, "decoding token ids",
                    fmt::format("expected ids of the vocabulary of {} tokens, got {} at place {}",
                                vocab_size_, id, tokens.size()),
                    "do the ids belong to this model?");
      tokens.push_back(*token);
    }
    parts_.decoder(tokens);
    std::string out;
    for (const std::string& token : tokens) out += token;
    return out;
  }

  std::optional<std::int64_t> token_to_id(std::string_view token) const override {
    const auto added = added_ids_.find(std::string(token));
    return added != added_ids_.end() ? std::optional(added->second) : parts_.model->vocabulary().find(token);
  }

  std::optional<std::string> spelling_of(std::int64_t id) const override {
    const std::string* const found = spelling(id);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }

  std::string description() const override {
    const std::string& notes = parts_.pre_tokenizer.description();
    return fmt::format("{}, {} tokens ({}{}{})", parts_.model->description(), vocab_size_, parts_.source,
                       notes.empty() ? "" : "; ", notes);
  }

 private:
  /// Tokens that a text may have beside the special ones.
  static std::int64_t room_beside(std::size_t n, std::int64_t max_tokens) {
    const auto n_special = static_cast<std::int64_t>(n);
    TWISTOR_CHECK(max_tokens >= n_special, ErrorKind::usage, "encoding a text",
                  fmt::format("expected room for the {} special tokens of the model, got {} tokens at most",
                              n_special, max_tokens));
    return max_tokens - n_special;
  }

  static void append(Encoding& out, const std::vector<SpecialToken>& tokens) {
    for (const SpecialToken& token : tokens) {
      out.ids.push_back(token.id);
      out.type_ids.push_back(token.type_id);
    }
  }

  static void append(Encoding& out, const std::vector<std::int64_t>& ids, std::int64_t n,
                     std::int64_t type_id) {
    out.ids.insert(out.ids.end(), ids.begin(), ids.begin() + n);
    out.type_ids.resize(out.ids.size(), type_id);
  }

  void encode_normalized(std::string_view text, bool is_first, std::vector<std::int64_t>& ids) const {
    for (const AddedTokens::Part& part : parts_.added.split_normalized(text)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      Pieces pieces;
      parts_.pre_tokenizer.split(part.text, is_first && part.text.data() == text.data(), pieces);
      for (const std::string_view piece : pieces.list) parts_.model->encode_piece(piece, ids);
    }
  }

  // nullptr if no token has the id.
  const std::string* spelling(std::int64_t id) const {
    const std::string* added = parts_.added.spelling(id);
    return added != nullptr ? added : parts_.model->vocabulary().token(id);
  }

  void check_template(const std::string& doing) const {
    const PairTemplate pair = parts_.special.pair.value_or(PairTemplate());
    for (const auto* specials :
         {&parts_.special.before, &parts_.special.after, &pair.before, &pair.between, &pair.after})
      for (const TextTemplate::Special& special : *specials)
        TWISTOR_CHECK(spelling(special.id) != nullptr, ErrorKind::data, doing,
                      fmt::format("the template puts id {} around texts, which no token has", special.id));
  }

  // add_bos_token says more about a model than a template that many models share.
  void apply_begin() {
    const auto id = parts_.begin.token ? token_to_id(*parts_.begin.token) : std::nullopt;
    if (!id || !parts_.begin.is_added) return;
    auto& before = parts_.special.before;
    const auto is_begin = [&](const TextTemplate::Special& token) { return token.id == *id; };
    const bool is_there = std::ranges::any_of(before, is_begin);
    if (is_there == *parts_.begin.is_added) return;
    if (is_there) {
      std::erase_if(before, is_begin);
    } else {
      before.insert(before.begin(), {*id, parts_.special.text_type_id});
    }
    parts_.special.pair.reset();  // it is made for a template that does not hold
    parts_.special.rule = "add_bos_token of tokenizer_config.json";
  }

  std::vector<std::int64_t> find_end_ids() const {
    if (!parts_.end.generation_ids.empty()) return parts_.end.generation_ids;
    if (parts_.end.token)
      if (const auto id = token_to_id(*parts_.end.token)) return {*id};
    if (!parts_.end.ids.empty()) return parts_.end.ids;
    for (const AddedToken& token : parts_.added.tokens())
      if (token.is_special && (token.content == "<|endoftext|>" || token.content == "</s>"))
        return {token.id};
    return {};
  }

  TokenizerParts parts_;
  std::unordered_map<std::string, std::int64_t> added_ids_;
  std::int64_t vocab_size_ = 0;
  std::vector<std::int64_t> end_ids_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerParts parts, const std::string& doing) {
  return std::make_unique<Pipeline>(std::move(parts), doing);
}

}  // namespace twistor::text
