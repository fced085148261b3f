// SPDX-License-Identifier: Apache-2.0
// A language model given by a table of conditional probabilities: small, in float64, with exact answers to
// test against.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// The past of n sequences, each kept as its row index (see TabularModel). Nothing is shared: an index is 8
/// bytes.
class TabularCache final : public Cache {
 public:
  TabularCache(std::int64_t vocab_size, std::int64_t max_length, std::int64_t n);

  [[nodiscard]] std::int64_t n_sequences() const override { return static_cast<std::int64_t>(rows_.size()); }
  [[nodiscard]] std::int64_t length() const override { return length_; }
  void select(std::span<const std::int64_t> parents) override;
  [[nodiscard]] std::unique_ptr<Cache> fork() const override;
  /// The tokens of those blocks, as int64 in the machine's byte order.
  [[nodiscard]] std::vector<std::byte> export_sequence(std::int64_t sequence,
                                                       std::int64_t first_block) const override;
  std::int64_t import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                               std::span<const std::byte> bytes) override;
  [[nodiscard]] CacheUse use() const override;

  /// Row index of every sequence.
  [[nodiscard]] std::span<const std::int64_t> rows() const { return rows_; }
  /// Appends (n * L) tokens; returns the row index after each of them, (n * L).
  std::vector<std::int64_t> append(std::span<const std::int64_t> tokens);

 private:
  std::int64_t vocab_size_;
  std::int64_t max_length_;
  std::int64_t length_ = 0;
  std::vector<std::int64_t> rows_;
};

/// p0(v | prefix) as a function of the whole prefix.
///
/// The hidden state of a token, (n, L, 1) float64, is the row index of the prefix that ends with it: its
/// tokens as digits token + 1 in base V + 1, so that it tells the length too and the empty prefix is 0. It is
/// exact because (V + 1)^max_length < 2^53 is required.
class TabularModel final : public LanguageModel {
 public:
  /// Writes log p(v | prefix) for all v, up to a constant of the row, into (V); -inf is legal.
  using RowFunction = std::function<void(std::span<const std::int64_t> prefix, std::span<double> log_p)>;

  /// `name` says what the rows are; its sha256 is the fingerprint. Throws Error(usage) on V < 1, max_length <
  /// 1 or if row indices would not be exact.
  TabularModel(std::int64_t vocab_size, std::int64_t max_length, std::string name, RowFunction row);

  /// Every row an independent Dirichlet(concentration, ...) draw, made on demand from (seed, prefix).
  [[nodiscard]] static TabularModel random(std::int64_t vocab_size, std::int64_t max_length,
                                           std::uint64_t seed, double concentration = 1.0);
  /// log p(v | previous token) from (V * V), row = previous token. Rows are normalised.
  [[nodiscard]] static TabularModel order1(std::int64_t vocab_size, std::int64_t max_length,
                                           std::vector<double> log_table);

  [[nodiscard]] std::int64_t vocab_size() const override { return vocab_size_; }
  [[nodiscard]] std::int64_t hidden_size() const override { return 1; }
  [[nodiscard]] std::int64_t context_length() const override { return max_length_; }
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return at::kDouble; }
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override;
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override;
  /// Normalised log-probabilities; out is float64.
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;

  /// log p0(v | prefix), normalised, (V). The prefix may be empty.
  [[nodiscard]] std::vector<double> log_probs(std::span<const std::int64_t> prefix) const;
  /// The prefix that a row index (a hidden state) stands for. Throws Error(usage) if it is none.
  [[nodiscard]] std::vector<std::int64_t> prefix_of(double row_index) const;
  [[nodiscard]] double row_index_of(std::span<const std::int64_t> prefix) const;

 private:
  std::int64_t vocab_size_;
  std::int64_t max_length_;
  std::string name_;
  RowFunction row_;
};

}  // namespace twistor::model
