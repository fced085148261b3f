// SPDX-License-Identifier: Apache-2.0
// Saying what a run will cost.
#include "twistor/report/cost.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>

#include "twistor/report/progress.hpp"

namespace twistor::report {
namespace {

/// 1234567 as 1,234,567.
std::string grouped(std::int64_t n) {
  std::string out = fmt::format("{}", n);
  for (auto at = static_cast<std::ptrdiff_t>(out.size()) - 3; at > 0; at -= 3)
    out.insert(static_cast<std::size_t>(at), ",");
  return out;
}

}  // namespace

Work work_of(std::string what, std::int64_t n, std::int64_t length) {
  return {std::move(what), n, n * length};
}

Work work_of_rejection(std::int64_t budget, std::int64_t length) {
  Work work = work_of(fmt::format("exact samples (rejection, at most {} draws)", budget), budget, length);
  work.is_limit = true;
  return work;
}

Work work_of_evaluations(std::int64_t n, std::int64_t sequences_each, std::int64_t length) {
  return work_of(fmt::format("{} evaluation{}", n, n == 1 ? "" : "s"), n * sequences_each, length);
}

void repeat_for_prompts(std::vector<Work>& work, std::int64_t n_prompts) {
  for (Work& part : work) {
    part.what += fmt::format(" of each of {} prompts", n_prompts);
    part.sequences *= n_prompts;
    part.tokens *= n_prompts;
  }
}

std::string cost_text(const std::vector<Work>& work, double tokens_per_s, std::optional<double> phi_s) {
  std::string out = "estimated work:";
  for (const Work& part : work) {
    const double seconds = static_cast<double>(part.tokens) / tokens_per_s +
                           static_cast<double>(part.sequences) * phi_s.value_or(0);
    out += fmt::format("{} {} {} tokens, {}{}", &part == &work.front() ? "" : ";", part.what,
                       grouped(part.tokens), part.is_limit ? "at most " : "about ", duration_text(seconds));
  }
  const std::string phi = phi_s ? fmt::format("phi {:.2g} ms a sequence; gradients come on top", 1e3 * *phi_s)
                                : std::string("gradients and phi come on top");
  return out + fmt::format(" (calibrated: {} tokens/s, {})",
                           grouped(static_cast<std::int64_t>(std::llround(tokens_per_s))), phi);
}

}  // namespace twistor::report
