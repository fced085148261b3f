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
  explicit Pipeline(TokenizerParts parts) : parts_(std::move(parts)) {
    vocab_size_ = parts_.model->vocabulary().size();
    for (const AddedToken& token : parts_.added.tokens()) {
      vocab_size_ = std::max(vocab_size_, token.id + 1);
      added_ids_.try_emplace(token.content, token.id);
    }
    eos_id_ = find_eos();
  }

  std::int64_t vocab_size() const override { return vocab_size_; }
  std::optional<std::int64_t> eos_id() const override { return eos_id_; }

  std::vector<std::int64_t> encode(std::string_view text) const override {
    std::vector<std::int64_t> ids;
    std::deque<std::string> storage;
    for (const AddedTokens::Part& part : parts_.added.split(text)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      for (const std::string_view piece : parts_.pre_tokenizer.split(part.text, storage))
        parts_.model->encode_piece(piece, ids);
    }
    return ids;
  }

  std::string decode(std::span<const std::int64_t> ids) const override {
    std::string out;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out += parts_.model->separator();
      const AddedToken* added = parts_.added.find(ids[i]);
      const std::string* token =
          added != nullptr ? &added->content : parts_.model->vocabulary().token(ids[i]);
      TWISTOR_CHECK(token != nullptr, ErrorKind::usage, "decoding token ids",
                    fmt::format("expected ids of the vocabulary of {} tokens, got {} at place {}",
                                vocab_size_, ids[i], i),
                    "do the ids belong to this model?");
      out += added != nullptr ? *token : parts_.model->decode_token(*token);
    }
    return out;
  }

  std::optional<std::int64_t> token_to_id(std::string_view token) const override {
    const auto added = added_ids_.find(std::string(token));
    return added != added_ids_.end() ? std::optional(added->second) : parts_.model->vocabulary().find(token);
  }

  std::string description() const override {
    return fmt::format("{}, {} tokens ({})", parts_.model->description(), vocab_size_, parts_.source);
  }

 private:
  std::optional<std::int64_t> find_eos() const {
    if (parts_.end.token)
      if (const auto id = token_to_id(*parts_.end.token)) return id;
    if (parts_.end.id) return parts_.end.id;
    for (const AddedToken& token : parts_.added.tokens())
      if (token.is_special && (token.content == "<|endoftext|>" || token.content == "</s>")) return token.id;
    return std::nullopt;
  }

  TokenizerParts parts_;
  std::unordered_map<std::string, std::int64_t> added_ids_;
  std::int64_t vocab_size_ = 0;
  std::optional<std::int64_t> eos_id_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerParts parts) {
  return std::make_unique<Pipeline>(std::move(parts));
}

}  // namespace twistor::text
