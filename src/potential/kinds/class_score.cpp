// SPDX-License-Identifier: Apache-2.0
// Choosing a class and its log-odds.
#include "class_score.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::potential {
namespace {

std::optional<std::size_t> find_label(const std::string& name, const std::vector<std::string>& labels) {
  const auto found = std::ranges::find(labels, name);
  if (found != labels.end()) return static_cast<std::size_t>(found - labels.begin());
  if (name.empty() && labels.size() == 1) return 0;
  std::size_t number = 0;
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data(), last, number);
  return error == std::errc{} && end == last && number < labels.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

ClassScore::ClassScore(const PotentialOptions& options, const std::vector<std::string>& labels,
                       bool is_multi_label, const std::string& doing)
    : rule_(options, doing), labels_(labels), is_multi_label_(is_multi_label) {
  const std::optional<std::size_t> index = find_label(options.class_name, labels);
  TWISTOR_CHECK(index.has_value(), ErrorKind::config, doing,
                fmt::format("target.class is '{}', which is no label of the classifier (it has {})",
                            options.class_name, fmt::join(labels, ", ")),
                "give a label or its number from 0");
  index_ = *index;
}

double ClassScore::log_phi(std::span<const double> logits) const {
  TWISTOR_ASSERT(logits.size() == labels_.size(), "as many logits as labels");
  double log_odds = logits[index_];
  if (logits.size() > 1 && !is_multi_label_) {
    std::vector<double> others(logits.begin(), logits.end());
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(index_));
    log_odds -= log_sum_exp(others);
  }
  return rule_.log_phi(ClassLogProb::from_logit(log_odds));
}

std::vector<double> ClassScore::log_phi_of_rows(std::span<const double> logits) const {
  std::vector<double> out;
  for (std::size_t at = 0; at < logits.size(); at += labels_.size())
    out.push_back(log_phi(logits.subspan(at, labels_.size())));
  return out;
}

std::int64_t ClassScore::n_classes() const {
  const auto n = static_cast<std::int64_t>(labels_.size());
  if (!rule_.is_probability() || (n > 1 && (is_multi_label_ || rule_.is_negated()))) return 0;
  return std::max<std::int64_t>(2, n);
}

std::vector<std::int64_t> ClassScore::observation() const {
  if (n_classes() == 0) return {};
  return {rule_.is_negated() ? 1 : static_cast<std::int64_t>(index_)};
}

ClassScore ClassScore::of_class(std::int64_t number) const {
  TWISTOR_CHECK(number >= 0 && number < n_classes(), ErrorKind::usage, "choosing an observed class",
                fmt::format("{} is none of {} classes", number, n_classes()));
  ClassScore out = *this;
  const bool is_only_label = labels_.size() == 1;
  out.index_ = is_only_label ? 0 : static_cast<std::size_t>(number);
  out.rule_ = rule_.negated(is_only_label && number == 1);
  return out;
}

}  // namespace twistor::potential
