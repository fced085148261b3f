// SPDX-License-Identifier: Apache-2.0
// Tabular models: rows made on demand from the prefix, and the cache that holds prefixes as numbers.
#include "twistor/model/tabular.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t exact_below = std::int64_t{1} << 53;  // integers up to here are exact in float64

std::int64_t append_token(std::int64_t row, std::int64_t token, std::int64_t vocab_size) {
  return row * (vocab_size + 1) + token + 1;
}

/// The digits of a row index, oldest token first. A zero digit stands for no token, so it is never in a legal
/// index.
std::vector<std::int64_t> digits_of(std::int64_t row, std::int64_t vocab_size) {
  std::vector<std::int64_t> prefix;
  for (; row > 0; row /= vocab_size + 1) prefix.push_back(row % (vocab_size + 1) - 1);
  return {prefix.rbegin(), prefix.rend()};
}

void check_token(std::int64_t token, std::int64_t vocab_size) {
  TWISTOR_CHECK(token >= 0 && token < vocab_size, ErrorKind::usage, "tabular model",
                fmt::format("token {} is out of range (expected 0 to {})", token, vocab_size - 1));
}

/// log of a Gamma(shape, 1) variate, by Marsaglia and Tsang 2000; stays finite where the variate itself
/// underflows.
double log_gamma_variate(double shape, Philox& random) {
  double log_boost = 0;
  if (shape < 1) {
    log_boost = std::log(random.uniform()) / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = random.normal();
    const double root = 1.0 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(random.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v))
      return std::log(d) + std::log(v) + log_boost;
  }
}

}  // namespace

TabularCache::TabularCache(std::int64_t vocab_size, std::int64_t max_length, std::int64_t n)
    : vocab_size_(vocab_size), max_length_(max_length), rows_(static_cast<std::size_t>(n), 0) {}

void TabularCache::select(std::span<const std::int64_t> parents) {
  std::vector<std::int64_t> rows;
  rows.reserve(parents.size());
  for (const std::int64_t parent : parents) {
    TWISTOR_CHECK(parent >= 0 && parent < n_sequences(), ErrorKind::usage, "selecting cached sequences",
                  fmt::format("parent {} of {} sequences", parent, n_sequences()));
    rows.push_back(rows_[static_cast<std::size_t>(parent)]);
  }
  rows_ = std::move(rows);
}

std::unique_ptr<Cache> TabularCache::fork() const {
  return std::make_unique<TabularCache>(*this);
}

std::vector<std::byte> TabularCache::export_sequence(std::int64_t sequence, std::int64_t first_block) const {
  TWISTOR_CHECK(
      sequence >= 0 && sequence < n_sequences() && first_block >= 0, ErrorKind::usage,
      "exporting a cached sequence",
      fmt::format("sequence {} from block {} of {} sequences", sequence, first_block, n_sequences()));
  const auto prefix = digits_of(rows_[static_cast<std::size_t>(sequence)], vocab_size_);
  const auto begin = std::min(prefix.size(), static_cast<std::size_t>(first_block * block_tokens));
  const auto bytes = std::as_bytes(std::span(prefix).subspan(begin));
  return {bytes.begin(), bytes.end()};
}

std::int64_t TabularCache::import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                                           std::span<const std::byte> bytes) {
  const std::string doing = "importing a cached sequence";
  TWISTOR_CHECK(first_block >= 0 && static_cast<std::size_t>(first_block) == donors.size(), ErrorKind::data,
                doing, fmt::format("{} donors for {} blocks", donors.size(), first_block));
  TWISTOR_CHECK(bytes.size() % sizeof(std::int64_t) == 0, ErrorKind::data, doing,
                fmt::format("{} bytes are no whole number of tokens", bytes.size()));
  std::vector<std::int64_t> prefix;
  for (std::size_t block = 0; block < donors.size(); ++block) {
    TWISTOR_CHECK(donors[block] >= 0 && donors[block] < n_sequences(), ErrorKind::data, doing,
                  fmt::format("donor {} of {} sequences", donors[block], n_sequences()));
    const auto donor = digits_of(rows_[static_cast<std::size_t>(donors[block])], vocab_size_);
    const auto begin = std::min(donor.size(), block * static_cast<std::size_t>(block_tokens));
    const auto end = std::min(donor.size(), begin + static_cast<std::size_t>(block_tokens));
    prefix.insert(prefix.end(), donor.begin() + static_cast<std::ptrdiff_t>(begin),
                  donor.begin() + static_cast<std::ptrdiff_t>(end));
  }
  const std::size_t shared = prefix.size();
  prefix.resize(shared + bytes.size() / sizeof(std::int64_t));
  if (!bytes.empty()) std::memcpy(prefix.data() + shared, bytes.data(), bytes.size());
  const auto length = static_cast<std::int64_t>(prefix.size());
  // A cache without sequences takes the length of the first that arrives.
  TWISTOR_CHECK(length == length_ || (rows_.empty() && length <= max_length_), ErrorKind::data, doing,
                fmt::format("it has {} tokens where the others have {}", length, length_));
  std::int64_t row = 0;
  for (const std::int64_t token : prefix) {
    TWISTOR_CHECK(token >= 0 && token < vocab_size_, ErrorKind::data, doing,
                  fmt::format("token {} is out of range (expected 0 to {})", token, vocab_size_ - 1));
    row = append_token(row, token, vocab_size_);
  }
  length_ = length;
  rows_.push_back(row);
  return n_sequences() - 1;
}

CacheUse TabularCache::use() const {
  CacheUse result;
  result.dense_blocks = n_sequences() * ((length_ + block_tokens - 1) / block_tokens);
  result.live_blocks = result.dense_blocks;
  result.live_bytes = n_sequences() * static_cast<std::int64_t>(sizeof(std::int64_t));
  return result;
}

std::vector<std::int64_t> TabularCache::append(std::span<const std::int64_t> tokens) {
  const std::size_t n = rows_.size();
  TWISTOR_CHECK(n == 0 ? tokens.empty() : tokens.size() % n == 0, ErrorKind::usage, "tabular model forward",
                fmt::format("{} tokens do not divide among {} sequences", tokens.size(), n));
  const std::size_t n_new = n == 0 ? 0 : tokens.size() / n;
  TWISTOR_CHECK(length_ + static_cast<std::int64_t>(n_new) <= max_length_, ErrorKind::usage,
                "tabular model forward",
                fmt::format("{} tokens after {} exceed the context of {}", n_new, length_, max_length_),
                "shorten the prompt or target.length");
  for (const std::int64_t token : tokens) check_token(token, vocab_size_);
  std::vector<std::int64_t> result;
  result.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::int64_t& row = rows_[i / n_new];
    row = append_token(row, tokens[i], vocab_size_);
    result.push_back(row);
  }
  length_ += static_cast<std::int64_t>(n_new);
  return result;
}

TabularModel::TabularModel(std::int64_t vocab_size, std::int64_t max_length, std::string name,
                           RowFunction row)
    : vocab_size_(vocab_size), max_length_(max_length), name_(std::move(name)), row_(std::move(row)) {
  TWISTOR_CHECK(vocab_size >= 1 && max_length >= 1, ErrorKind::usage, "making a tabular model",
                fmt::format("V = {}, max_length = {} (expected at least 1)", vocab_size, max_length));
  std::int64_t n_rows = 1;
  for (std::int64_t t = 0; t < max_length; ++t) {
    TWISTOR_CHECK(n_rows < exact_below / (vocab_size + 1), ErrorKind::usage, "making a tabular model",
                  fmt::format("(V + 1)^max_length is not below 2^53 for V = {}, max_length = {}", vocab_size,
                              max_length),
                  "take a smaller vocabulary or shorter sequences");
    n_rows *= vocab_size + 1;
  }
}

TabularModel TabularModel::random(std::int64_t vocab_size, std::int64_t max_length, std::uint64_t seed,
                                  double concentration) {
  TWISTOR_CHECK(concentration > 0 && std::isfinite(concentration), ErrorKind::usage, "making a tabular model",
                fmt::format("concentration = {} (expected a positive number)", concentration));
  const auto row = [=](std::span<const std::int64_t> prefix, std::span<double> log_p) {
    std::int64_t index = 0;
    for (const std::int64_t token : prefix) index = append_token(index, token, vocab_size);
    Philox random(derive_seed(seed, Stream::test, static_cast<std::uint64_t>(index)), Stream::test, 0, 0);
    for (double& x : log_p) x = log_gamma_variate(concentration, random);
  };
  return {vocab_size, max_length,
          fmt::format("tabular-random-V{}-L{}-seed{}-concentration{}", vocab_size, max_length, seed,
                      concentration),
          row};
}

TabularModel TabularModel::order1(std::int64_t vocab_size, std::int64_t max_length,
                                  std::vector<double> log_table) {
  TWISTOR_CHECK(
      vocab_size >= 1 && static_cast<std::int64_t>(log_table.size()) == vocab_size * vocab_size,
      ErrorKind::usage, "making a tabular model",
      fmt::format("the table has {} entries (expected V * V with V = {})", log_table.size(), vocab_size));
  const std::string digest = sha256_hex(std::as_bytes(std::span(log_table)));
  const auto row = [vocab_size, table = std::move(log_table)](std::span<const std::int64_t> prefix,
                                                              std::span<double> log_p) {
    // Before the first token every token is equally likely.
    const auto v = static_cast<std::size_t>(vocab_size);
    for (std::size_t i = 0; i < v; ++i)
      log_p[i] = prefix.empty() ? 0.0 : table[static_cast<std::size_t>(prefix.back()) * v + i];
  };
  return {vocab_size, max_length, fmt::format("tabular-order1-V{}-L{}-{}", vocab_size, max_length, digest),
          row};
}

std::string TabularModel::fingerprint() const {
  return sha256_hex(name_);
}

std::string TabularModel::description() const {
  return fmt::format("tabular model, V = {}, sequences up to {} tokens, float64 ({})", vocab_size_,
                     max_length_, name_);
}

std::unique_ptr<Cache> TabularModel::make_cache(std::int64_t n) const {
  TWISTOR_CHECK(n >= 0, ErrorKind::usage, "making a cache", fmt::format("{} sequences", n));
  return std::make_unique<TabularCache>(vocab_size_, max_length_, n);
}

at::Tensor TabularModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  auto* const own = dynamic_cast<TabularCache*>(&cache);
  TWISTOR_ASSERT(own != nullptr, "the cache belongs to another model");
  const std::int64_t n = own->n_sequences();
  const auto rows = own->append(tokens);
  const std::int64_t n_new = n == 0 ? 0 : static_cast<std::int64_t>(rows.size()) / n;
  at::Tensor hidden = at::empty({n, n_new, 1}, at::kDouble);
  std::copy(rows.begin(), rows.end(), hidden.data_ptr<double>());
  return hidden;
}

void TabularModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                          at::Tensor& out) const {
  TWISTOR_ASSERT(hidden.dim() == 2 && hidden.size(1) == 1 && hidden.scalar_type() == at::kDouble,
                 "hidden is (n, 1)");
  TWISTOR_ASSERT(0 <= v_begin && v_begin <= v_end && v_end <= vocab_size_, "columns within the vocabulary");
  TWISTOR_ASSERT(out.dim() == 2 && out.size(0) == hidden.size(0) && out.size(1) == v_end - v_begin &&
                     out.scalar_type() == at::kDouble,
                 "out is (n, v_end - v_begin) float64");
  const auto rows = hidden.accessor<double, 2>();
  auto result = out.accessor<double, 2>();
  for (std::int64_t i = 0; i < hidden.size(0); ++i) {
    const auto log_p = log_probs(prefix_of(rows[i][0]));
    for (std::int64_t v = v_begin; v < v_end; ++v)
      result[i][v - v_begin] = log_p[static_cast<std::size_t>(v)];
  }
}

std::vector<double> TabularModel::log_probs(std::span<const std::int64_t> prefix) const {
  std::vector<double> log_p(static_cast<std::size_t>(vocab_size_));
  row_(prefix, log_p);
  const double log_total = log_sum_exp(log_p);
  TWISTOR_CHECK(log_total > log_zero, ErrorKind::data, "tabular model",
                "a row of the table has no probability at all");
  for (double& x : log_p) x -= log_total;
  return log_p;
}

std::vector<std::int64_t> TabularModel::prefix_of(double row_index) const {
  const std::string doing = "decoding the row of a tabular model";
  TWISTOR_CHECK(
      row_index >= 0 && row_index < static_cast<double>(exact_below) && std::trunc(row_index) == row_index,
      ErrorKind::usage, doing, fmt::format("{} is no row index", row_index));
  auto prefix = digits_of(static_cast<std::int64_t>(row_index), vocab_size_);
  for (const std::int64_t token : prefix)
    TWISTOR_CHECK(token >= 0, ErrorKind::usage, doing, fmt::format("{} is no row index", row_index));
  TWISTOR_CHECK(
      static_cast<std::int64_t>(prefix.size()) <= max_length_, ErrorKind::usage, doing,
      fmt::format("{} is a prefix of {} tokens, longer than {}", row_index, prefix.size(), max_length_));
  return prefix;
}

double TabularModel::row_index_of(std::span<const std::int64_t> prefix) const {
  TWISTOR_CHECK(static_cast<std::int64_t>(prefix.size()) <= max_length_, ErrorKind::usage, "tabular model",
                fmt::format("a prefix of {} tokens is longer than {}", prefix.size(), max_length_));
  std::int64_t row = 0;
  for (const std::int64_t token : prefix) {
    check_token(token, vocab_size_);
    row = append_token(row, token, vocab_size_);
  }
  return static_cast<double>(row);
}

}  // namespace twistor::model
