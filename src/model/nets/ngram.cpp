// SPDX-License-Identifier: Apache-2.0
// Counting pairs of tokens.
#include "twistor/model/ngram.hpp"

#include <map>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

using Counts = std::map<std::int64_t, std::map<std::int64_t, std::int64_t>>;

Counts count_pairs(std::span<const std::int64_t> tokens, std::int64_t T, std::int64_t before,
                   const EndRule& end) {
  Counts counts;
  const auto length = static_cast<std::size_t>(T);
  for (std::size_t first = 0; first + length <= tokens.size(); first += length) {
    std::int64_t last = before;
    for (const std::int64_t token : end.until_end(tokens.subspan(first, length))) {
      ++counts[last][token];
      last = token;
    }
  }
  return counts;
}

void add_context(std::int64_t u, const std::map<std::int64_t, std::int64_t>& after, Ngram& out) {
  std::int64_t total = 0;
  for (const auto& [token, n] : after) total += n;
  const auto n_distinct = static_cast<double>(after.size()), sum = static_cast<double>(total) + n_distinct;
  for (const auto& [token, n] : after)
    out.followers.push_back({static_cast<std::int32_t>(token), static_cast<double>(n) / sum});
  out.contexts.push_back(u);
  out.begin.push_back(out.followers.size());
  out.backoff.push_back(n_distinct / sum);
}

}  // namespace

Ngram fit_ngram(std::span<const std::int64_t> tokens, std::int64_t T, std::int64_t before,
                std::vector<double> unigram, const EndRule& end, int order) {
  TWISTOR_ASSERT(T >= 1 && (order == 1 || order == 2), "an n-gram model of order 1 or 2");
  Counts counts;
  if (order == 2) counts = count_pairs(tokens, T, before, end);
  for (const std::int64_t token : end.tokens()) counts[token] = {};
  Ngram out{.unigram = std::move(unigram)};
  for (const auto& [u, after] : counts) {
    if (!after.empty()) {
      add_context(u, after, out);
      continue;
    }
    out.contexts.push_back(u);
    out.followers.push_back({static_cast<std::int32_t>(end.token()), 1.0});
    out.begin.push_back(out.followers.size());
    out.backoff.push_back(0);
  }
  return out;
}

std::vector<double> Ngram::row(std::int64_t u) const {
  std::vector<double> out = unigram;
  for (std::size_t c = 0; c < contexts.size(); ++c) {
    if (contexts[c] != u) continue;
    for (double& p : out) p *= backoff[c];
    for (std::size_t i = begin[c]; i < begin[c + 1]; ++i)
      out[static_cast<std::size_t>(followers[i].token)] += followers[i].share;
  }
  return out;
}

}  // namespace twistor::model
