// SPDX-License-Identifier: Apache-2.0
// What follows from the end of a text, over whole batches.
#include "twistor/model/end_rule.hpp"

#include <algorithm>
#include <utility>

namespace twistor::model {

EndRule::EndRule(std::int64_t token) {
  if (token >= 0) tokens_.push_back(token);
}

EndRule::EndRule(const std::vector<std::int64_t>& tokens) {
  for (const std::int64_t token : tokens)
    if (!is_end(token)) tokens_.push_back(token);
}

std::vector<char> EndRule::mask(std::span<const std::int64_t> tokens, std::int64_t T) const {
  std::vector<char> out(tokens.size(), 0);
  const auto length = static_cast<std::size_t>(T);
  for (std::size_t i = 0; can_end() && i < tokens.size(); ++i)
    out[i] = has_ended(tokens.subspan(i - i % length), static_cast<std::int64_t>(i % length)) ? 1 : 0;
  return out;
}

void EndRule::carry(std::span<const std::int64_t> tokens, std::int64_t T, std::span<double> log_psi) const {
  if (!can_end()) return;
  const std::vector<char> ended = mask(tokens, T);
  for (std::size_t i = 0; i < log_psi.size(); ++i)
    if (ended[i] != 0) log_psi[i] = log_psi[i - 1];
}

void EndRule::move_to_end(std::span<const std::int64_t> tokens, std::int64_t T,
                          std::span<double> weight) const {
  if (!can_end()) return;
  const auto length = static_cast<std::size_t>(T);
  for (std::size_t begin = 0; begin < tokens.size(); begin += length) {
    const std::size_t n_live = until_end(tokens.subspan(begin, length)).size();
    double& last = weight[begin + n_live - 1];
    for (std::size_t t = n_live; t < length; ++t) last += std::exchange(weight[begin + t], 0.0);
  }
}

std::span<const std::int64_t> EndRule::until_end(std::span<const std::int64_t> tokens) const {
  return tokens.first(std::min(before_end(tokens).size() + 1, tokens.size()));
}

std::span<const std::int64_t> EndRule::before_end(std::span<const std::int64_t> tokens) const {
  return {tokens.begin(),
          std::find_if(tokens.begin(), tokens.end(), [&](std::int64_t token) { return is_end(token); })};
}

}  // namespace twistor::model
