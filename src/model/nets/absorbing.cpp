// SPDX-License-Identifier: Apache-2.0
// The absorbing end-of-text token, as a layer around any model.
#include "twistor/model/absorbing.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <utility>
#include <vector>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

template <class Real>
std::vector<char> read_mask(const at::Tensor& column) {
  std::vector<char> out(static_cast<std::size_t>(column.size(0)));
  const Real* first = column.const_data_ptr<Real>();
  for (std::int64_t i = 0; i < column.size(0); ++i)
    out[static_cast<std::size_t>(i)] = first[i * column.stride(0)] != 0 ? 1 : 0;
  return out;
}

}  // namespace

AbsorbingModel::AbsorbingModel(std::shared_ptr<const LanguageModel> base, EndRule rule,
                               std::int64_t prompt_tokens)
    : base_(std::move(base)), rule_(std::move(rule)), prompt_tokens_(prompt_tokens) {
  constexpr const char* doing = "making the end-of-text token absorbing";
  TWISTOR_CHECK(rule_.can_end(), ErrorKind::config, doing, "no token ends a text",
                "give one or several ids: target.end_token");
  for (const std::int64_t token : rule_.tokens())
    TWISTOR_CHECK(token >= 0 && token < base_->vocab_size(), ErrorKind::config, doing,
                  fmt::format("token id {} is out of range (vocabulary {})", token, base_->vocab_size()),
                  "correct target.end_token");
  TWISTOR_CHECK(prompt_tokens >= 1, ErrorKind::usage, doing, "the prompt is empty");
}

std::string AbsorbingModel::fingerprint() const {
  Sha256 digest;
  digest.add(base_->fingerprint());
  digest.add(fmt::format("absorbing {}", fmt::join(rule_.tokens(), ",")));
  return digest.finish_hex();
}

std::string AbsorbingModel::description() const {
  const bool is_one = rule_.tokens().size() == 1;
  return fmt::format("{}, token{} {} end{} a text", base_->description(), is_one ? "" : "s",
                     fmt::join(rule_.tokens(), ", "), is_one ? "s" : "");
}

at::Tensor AbsorbingModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  const std::int64_t first = cache.length(), d = base_->hidden_size();
  const at::Tensor own = base_->forward(tokens, cache);
  const std::int64_t n = own.size(0), length = own.size(1);
  at::Tensor hidden = at::empty({n, length, d + 1}, own.options());
  hidden.narrow(2, 0, d).copy_(own);
  std::vector<float> mask(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::int64_t position = first + static_cast<std::int64_t>(i) % length;
    if (rule_.is_end(tokens[i]) && position >= prompt_tokens_) mask[i] = 1;
  }
  hidden.select(2, d).copy_(at::from_blob(mask.data(), {n, length}, at::kFloat));
  return hidden;
}

std::vector<char> AbsorbingModel::mask_of(const at::Tensor& hidden) const {
  const at::Tensor column = hidden.select(1, base_->hidden_size()).to(at::kCPU);
  return hidden.scalar_type() == at::kDouble ? read_mask<double>(column) : read_mask<float>(column);
}

void AbsorbingModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                            at::Tensor& out) const {
  base_->logits(hidden.narrow(1, 0, base_->hidden_size()), v_begin, v_end, out);
  const std::vector<char> ended = mask_of(hidden);
  std::vector<std::int64_t> rows;
  for (std::size_t row = 0; row < ended.size(); ++row)
    if (ended[row] != 0) rows.push_back(static_cast<std::int64_t>(row));
  if (rows.empty()) return;
  const at::Tensor index =
      at::from_blob(rows.data(), {static_cast<std::int64_t>(rows.size())}, at::kLong).to(out.device());
  out.narrow(1, 0, v_end - v_begin).index_fill_(0, index, -std::numeric_limits<double>::infinity());
  const std::int64_t end = rule_.token();
  if (end >= v_begin && end < v_end) out.select(1, end - v_begin).index_fill_(0, index, 0);
}

std::shared_ptr<const LanguageModel> make_end_absorbing(std::shared_ptr<const LanguageModel> lm,
                                                        std::vector<std::int64_t> ends,
                                                        const text::Tokenizer* tokenizer,
                                                        std::int64_t n_prompt) {
  if (ends.empty() && tokenizer != nullptr) ends = tokenizer->end_ids();
  TWISTOR_CHECK(!ends.empty(), ErrorKind::config, "reading target.stop_at_eos",
                "the model's files name no end-of-text token: eos_token_id and eos_token are missing or null",
                "give one or several ids: target.end_token");
  return std::make_shared<AbsorbingModel>(std::move(lm), EndRule(ends), n_prompt);
}

std::shared_ptr<const LanguageModel> for_prompt(std::shared_ptr<const LanguageModel> lm,
                                                std::int64_t n_prompt) {
  const EndRule rule = lm->end_rule();
  if (!rule.can_end()) return lm;
  std::shared_ptr<const LanguageModel> base(lm, &lm->without_end());
  return std::make_shared<AbsorbingModel>(std::move(base), rule, n_prompt);
}

}  // namespace twistor::model
