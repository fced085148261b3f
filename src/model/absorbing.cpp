// The absorbing end-of-text token, as a layer around any model.
#include "twistor/model/absorbing.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

/// Which rows of hidden, (n, D), are zero vectors.
template <class Real>
std::vector<std::int64_t> zero_rows(const at::Tensor& hidden) {
  std::vector<std::int64_t> out;
  const std::int64_t d = hidden.size(1);
  for (std::int64_t i = 0; i < hidden.size(0); ++i) {
    const Real* row = hidden.const_data_ptr<Real>() + i * hidden.stride(0);
    if (std::all_of(row, row + d, [](Real x) { return x == 0; })) out.push_back(i);
  }
  return out;
}

}  // namespace

AbsorbingModel::AbsorbingModel(std::shared_ptr<const LanguageModel> base, std::int64_t end_token,
                               std::int64_t prompt_tokens)
    : base_(std::move(base)), end_token_(end_token), prompt_tokens_(prompt_tokens) {
  TWISTOR_CHECK(end_token >= 0 && end_token < base_->vocab_size(), ErrorKind::config,
                "making the end-of-text token absorbing",
                fmt::format("token id {} is out of range (vocabulary {})", end_token, base_->vocab_size()),
                "correct target.end_token");
  TWISTOR_CHECK(prompt_tokens >= 1, ErrorKind::usage, "making the end-of-text token absorbing",
                "the prompt is empty");
}

std::string AbsorbingModel::fingerprint() const {
  Sha256 digest;
  digest.add(base_->fingerprint());
  digest.add(fmt::format("absorbing {}", end_token_));
  return digest.finish_hex();
}

std::string AbsorbingModel::description() const {
  return fmt::format("{}, token {} ends a text", base_->description(), end_token_);
}

at::Tensor AbsorbingModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  const std::int64_t first = cache.length();
  at::Tensor hidden = base_->forward(tokens, cache);
  const std::int64_t length = hidden.size(1);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] != end_token_) continue;
    const auto at = static_cast<std::int64_t>(i);
    if (first + at % length >= prompt_tokens_) hidden.select(0, at / length).select(0, at % length).zero_();
  }
  return hidden;
}

void AbsorbingModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                            at::Tensor& out) const {
  base_->logits(hidden, v_begin, v_end, out);
  const auto ended =
      hidden.scalar_type() == at::kDouble ? zero_rows<double>(hidden) : zero_rows<float>(hidden);
  for (const std::int64_t row : ended) {
    at::Tensor values = out.select(0, row).narrow(0, 0, v_end - v_begin);
    values.fill_(-std::numeric_limits<double>::infinity());
    if (end_token_ >= v_begin && end_token_ < v_end) values.select(0, end_token_ - v_begin).zero_();
  }
}

std::span<const std::int64_t> until_end(std::span<const std::int64_t> tokens, std::int64_t end_token) {
  return tokens.first(std::min(before_end(tokens, end_token).size() + 1, tokens.size()));
}

std::span<const std::int64_t> before_end(std::span<const std::int64_t> tokens, std::int64_t end_token) {
  return {tokens.begin(), std::find(tokens.begin(), tokens.end(), end_token)};
}

}  // namespace twistor::model
