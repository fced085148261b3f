// SPDX-License-Identifier: Apache-2.0
// The prompt, read once and shared by every sequence that continues it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

struct Prefill {
  std::unique_ptr<Cache> cache;  ///< one sequence: the prompt
  at::Tensor hidden;             ///< (1, D), of the prompt's last token
  std::int64_t revision = 0;     ///< of the model that read it

  /// A cache of n sequences that all continue the prompt; shares its blocks.
  [[nodiscard]] std::unique_ptr<Cache> fork(std::int64_t n) const;
};

/// *Local.* Throws Error(usage) on an empty prompt or one longer than the context.
[[nodiscard]] Prefill prefill(const LanguageModel& lm, std::span<const std::int64_t> prompt);

}  // namespace twistor::model
