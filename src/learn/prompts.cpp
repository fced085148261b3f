// SPDX-License-Identifier: Apache-2.0
// Rounds over prompts.
#include "twistor/learn/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::learn {

std::size_t PromptOrder::of_turn(std::int64_t turn) {
  const auto n = static_cast<std::int64_t>(n_);
  if (turn / n != round_) {
    round_ = turn / n;
    std::vector<std::uint64_t> keys;
    for (std::size_t i = 0; i < n_; ++i)
      keys.push_back(Philox(seed_, Stream::prompt_order, static_cast<std::uint32_t>(round_), i).next_u64());
    order_.resize(n_);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::stable_sort(order_, {}, [&](std::size_t i) { return keys[i]; });
  }
  return order_[static_cast<std::size_t>(turn % n)];
}

SettledPositives settle_positives_of_prompts(const ObjectiveOptions& options, const TrainOptions& train) {
  SettledPositives out{options, train, {}};
  const char* const doing = "starting to learn on the prompts of prompt.file";
  TWISTOR_CHECK(train.known_positive.empty(), ErrorKind::config, doing,
                "train.positive_ids is a text of one target, and each prompt has its own", "leave it empty");
  if (options.positives == Positives::automatic) {
    out.options.positives = Positives::weighted;
    out.why = "weighted: each update has prompts of its own";
  }
  TWISTOR_CHECK(out.options.positives == Positives::weighted || out.options.positives == Positives::smc,
                ErrorKind::config, doing,
                fmt::format("train.positives = {} keeps samples of one target from update to update",
                            name_of(options.positives)),
                "set train.positives = auto, weighted or smc");
  out.options = out.options.per_prompt();
  return out;
}

}  // namespace twistor::learn
