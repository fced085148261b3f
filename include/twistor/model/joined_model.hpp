// SPDX-License-Identifier: Apache-2.0
// Several language models side by side as one: a base model with what learns beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// Some columns of a hidden state.
struct Columns {
  std::int64_t begin = 0, size = 0;
  friend bool operator==(const Columns&, const Columns&) = default;
};

/// Reads the same tokens with every member. Hidden states stand side by side, (n, L, D_1 + D_2 + ...), in the
/// order of the members; the cache is theirs together; logits() and feature_size() are the first member's. So
/// whatever moves hidden states and caches about needs no change for a twist with a body of its own or a
/// policy: each is one more member, and its columns() are what it is read from.
///
/// Members with equal weights (fingerprints) are computed once and share their columns. A joined model has
/// the bits of its members, in every batch and on every rank, because each of them has.
class JoinedModel final : public LanguageModel {
 public:
  /// At least one member. Throws Error(data) where vocabularies or dtypes differ, Error(usage) for a member
  /// that ends texts: AbsorbingModel belongs around the joined model.
  explicit JoinedModel(std::vector<std::shared_ptr<const LanguageModel>> members);

  /// The columns that hold the hidden state of one member.
  [[nodiscard]] Columns columns(std::size_t member) const { return columns_[member]; }
  [[nodiscard]] std::size_t n_members() const { return columns_.size(); }
  /// One of them, as it is alone.
  [[nodiscard]] const LanguageModel& member(std::size_t member) const { return *distinct_[index_[member]]; }
  /// Members with weights of their own.
  [[nodiscard]] std::size_t n_distinct() const { return distinct_.size(); }

  [[nodiscard]] std::int64_t vocab_size() const override { return distinct_.front()->vocab_size(); }
  [[nodiscard]] std::int64_t hidden_size() const override { return hidden_size_; }
  [[nodiscard]] std::int64_t feature_size() const override { return distinct_.front()->feature_size(); }
  /// The shortest of the members'.
  [[nodiscard]] std::int64_t context_length() const override;
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return distinct_.front()->hidden_dtype(); }
  /// The member's own where all are one.
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override;
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override;
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;
  /// The members' together.
  [[nodiscard]] std::int64_t revision() const override;
  [[nodiscard]] std::shared_ptr<const device::Engine> engine() const override {
    return distinct_.front()->engine();
  }

 private:
  std::vector<std::shared_ptr<const LanguageModel>> distinct_;
  std::vector<Columns> columns_;    // one a member
  std::vector<std::size_t> index_;  // likewise, in distinct_
  std::int64_t hidden_size_ = 0;
};

/// `lm`, which may end texts, with `other` beside it: both end together. Prompts of n_prompt tokens have not
/// ended. Throws what JoinedModel throws. *Local.*
[[nodiscard]] std::shared_ptr<const LanguageModel> join(std::shared_ptr<const LanguageModel> lm,
                                                        std::shared_ptr<const LanguageModel> other,
                                                        std::int64_t n_prompt);

/// A joined model with the logits of another than its first member: the same hidden states and caches, read
/// by that member's head. What reads hidden states of the joined model gets two distributions from them.
class MemberModel final : public LanguageModel {
 public:
  MemberModel(std::shared_ptr<const JoinedModel> joined, std::size_t member)
      : joined_(std::move(joined)), member_(member) {}

  [[nodiscard]] std::int64_t vocab_size() const override { return joined_->vocab_size(); }
  [[nodiscard]] std::int64_t hidden_size() const override { return joined_->hidden_size(); }
  [[nodiscard]] std::int64_t context_length() const override { return joined_->context_length(); }
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return joined_->hidden_dtype(); }
  /// That of the member: its distributions.
  [[nodiscard]] std::string fingerprint() const override { return joined_->member(member_).fingerprint(); }
  [[nodiscard]] std::string description() const override { return joined_->member(member_).description(); }
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return joined_->make_cache(n);
  }
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override {
    return joined_->forward(tokens, cache);
  }
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;
  [[nodiscard]] std::int64_t revision() const override { return joined_->revision(); }
  [[nodiscard]] std::shared_ptr<const device::Engine> engine() const override { return joined_->engine(); }

 private:
  std::shared_ptr<const JoinedModel> joined_;
  std::size_t member_;
};

}  // namespace twistor::model
