// SPDX-License-Identifier: Apache-2.0
// Reading the prompt.
#include "twistor/model/prefill.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <vector>

#include "twistor/base/error.hpp"

namespace twistor::model {

std::unique_ptr<Cache> Prefill::fork(std::int64_t n) const {
  auto copy = cache->fork();
  copy->select(std::vector<std::int64_t>(static_cast<std::size_t>(n), 0));
  return copy;
}

Prefill prefill(const LanguageModel& lm, std::span<const std::int64_t> prompt) {
  const auto length = static_cast<std::int64_t>(prompt.size());
  TWISTOR_CHECK(length >= 1, ErrorKind::usage, "reading the prompt",
                "it is empty (expected at least one token)", "set prompt.text or prompt.ids");
  TWISTOR_CHECK(length <= lm.context_length(), ErrorKind::usage, "reading the prompt",
                fmt::format("its {} tokens exceed the model's context of {}", length, lm.context_length()),
                "shorten the prompt");
  Prefill result;
  result.revision = lm.revision();
  result.cache = lm.make_cache(1);
  result.hidden = lm.forward(prompt, *result.cache).select(1, length - 1);
  return result;
}

}  // namespace twistor::model
