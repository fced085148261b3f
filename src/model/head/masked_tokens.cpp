// SPDX-License-Identifier: Apache-2.0
// Masking rows of the vocabulary that no token has.
#include "twistor/model/masked_tokens.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

std::int64_t count(const std::vector<TokenRange>& tokens) {
  std::int64_t n = 0;
  for (const TokenRange& range : tokens) n += range.end - range.begin;
  return n;
}

std::string spelled(const std::vector<TokenRange>& tokens, std::size_t most) {
  std::vector<std::string> parts;
  for (const TokenRange& range : tokens) {
    if (parts.size() == most) {
      parts.emplace_back("...");
      break;
    }
    parts.push_back(range.end - range.begin == 1 ? fmt::format("{}", range.begin)
                                                 : fmt::format("{}-{}", range.begin, range.end - 1));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::vector<TokenRange> padded_tokens(const LanguageModel& lm, const text::Tokenizer& tokenizer) {
  std::vector<TokenRange> out;
  for (std::int64_t id = 0; id < lm.vocab_size(); ++id) {
    if (tokenizer.has_token(id)) continue;
    if (out.empty() || out.back().end != id) out.push_back({id, id});
    out.back().end = id + 1;
  }
  return out;
}

std::string describe(const std::vector<TokenRange>& tokens) {
  constexpr std::size_t most_ranges = 3;
  const std::int64_t n = count(tokens);
  return fmt::format("{} row{} (id{} {})", n, n == 1 ? "" : "s", n == 1 ? "" : "s",
                     spelled(tokens, most_ranges));
}

MaskedModel::MaskedModel(std::shared_ptr<const LanguageModel> base, std::vector<TokenRange> masked)
    : base_(std::move(base)), masked_(std::move(masked)) {
  TWISTOR_CHECK(
      count(masked_) < base_->vocab_size(), ErrorKind::data, "masking padded tokens",
      fmt::format("none of the model's {} tokens is in the vocabulary of its tokenizer", base_->vocab_size()),
      "the tokenizer belongs to another model");
}

std::string MaskedModel::fingerprint() const {
  Sha256 digest;
  digest.add(base_->fingerprint());
  digest.add("masked " + spelled(masked_, masked_.size()));
  return digest.finish_hex();
}

void MaskedModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                         at::Tensor& out) const {
  base_->logits(hidden, v_begin, v_end, out);
  for (const TokenRange& range : masked_) {
    const std::int64_t begin = std::max(range.begin, v_begin), end = std::min(range.end, v_end);
    if (begin < end)
      out.narrow(1, begin - v_begin, end - begin).fill_(-std::numeric_limits<double>::infinity());
  }
}

std::string padding_notice(const LanguageModel& lm, const text::Tokenizer& tokenizer) {
  const std::vector<TokenRange> padded = padded_tokens(lm, tokenizer);
  if (padded.empty()) return {};
  return fmt::format(
      "the vocabulary is padded: {} stand for no token and are never drawn (model.padded_tokens = mask)",
      describe(padded));
}

std::shared_ptr<const LanguageModel> mask_padded_tokens(std::shared_ptr<const LanguageModel> lm,
                                                        const text::Tokenizer& tokenizer) {
  std::vector<TokenRange> padded = padded_tokens(*lm, tokenizer);
  if (padded.empty()) return lm;
  return std::make_shared<MaskedModel>(std::move(lm), std::move(padded));
}

}  // namespace twistor::model
