// SPDX-License-Identifier: Apache-2.0
// Language models that stand beside an observation: for twists psi_t(s, o) that see it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// From an observation to the columns that stand beside hidden states (Zhao et al. 2024, app. on conditional
/// twists). *Local.*
class ObservationEncoder {
 public:
  /// Of tokens, read by `reader`: the language model, or the body of the twist.
  [[nodiscard]] static ObservationEncoder of_tokens(std::shared_ptr<const LanguageModel> reader);
  /// Of the number of a class, one of n, for hidden states of `lm`.
  [[nodiscard]] static ObservationEncoder of_classes(std::int64_t n, const LanguageModel& lm);

  [[nodiscard]] std::int64_t width() const { return width_; }  // E
  /// (m, E), on the model's device, of m observations of equal length, one after another; in one pass. Throws
  /// Error(usage) if they are empty, too long or no such class.
  [[nodiscard]] at::Tensor encode(std::span<const std::int64_t> observations, std::int64_t m) const;

 private:
  ObservationEncoder(std::shared_ptr<const LanguageModel> reader, std::int64_t width,
                     const LanguageModel& lm);

  std::shared_ptr<const LanguageModel> reader_;  // nullptr: one-hot
  std::int64_t width_;
  at::ScalarType dtype_;
  at::Device device_;
};

/// A model whose hidden states have E further columns: the encoding of the observation that a sequence goes
/// with. logits() and feature_size() are the base model's, which reads the same tokens; the columns are for
/// heads of twists. So whatever moves hidden states and caches about needs no change.
class ConditionedModel final : public LanguageModel {
 public:
  /// encodings: (m, E). A base model that learns must not change while this is in use: the encodings would
  /// not follow.
  ConditionedModel(std::shared_ptr<const LanguageModel> base, at::Tensor encodings);

  [[nodiscard]] std::int64_t vocab_size() const override { return base_->vocab_size(); }
  [[nodiscard]] std::int64_t hidden_size() const override;
  [[nodiscard]] std::int64_t feature_size() const override { return base_->feature_size(); }
  [[nodiscard]] std::int64_t context_length() const override { return base_->context_length(); }
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return base_->hidden_dtype(); }
  /// The base model's and the encodings'.
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] std::string description() const override { return base_->description(); }
  /// Of sequences that go with the first observation.
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return base_->make_cache(n);
  }
  /// A cache of the base model whose sequence i goes with observation i; on one rank alone.
  [[nodiscard]] std::unique_ptr<Cache> with_observations(std::unique_ptr<Cache> of_base) const;
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override;
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;
  [[nodiscard]] const device::Weight* output_matrix() const override { return base_->output_matrix(); }
  [[nodiscard]] std::int64_t revision() const override { return base_->revision(); }
  [[nodiscard]] std::shared_ptr<const device::Engine> engine() const override { return base_->engine(); }
  [[nodiscard]] EndRule end_rule() const override { return base_->end_rule(); }

  /// Hidden states of the base model, (n, ..., D), with encodings beside them, (n, ..., D + E): those of the
  /// observations `of`, (n), or of the first in all rows.
  [[nodiscard]] at::Tensor with_encoding(const at::Tensor& hidden,
                                         std::span<const std::int64_t> of = {}) const;

 private:
  std::shared_ptr<const LanguageModel> base_;
  at::Tensor encodings_;
  std::int64_t revision_;  // of the base model that the encodings belong to
};

}  // namespace twistor::model
