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
    : rule_(options, doing), n_labels_(labels.size()), is_multi_label_(is_multi_label) {
  const std::optional<std::size_t> index = find_label(options.class_name, labels);
  TWISTOR_CHECK(index.has_value(), ErrorKind::config, doing,
                fmt::format("target.class is '{}', which is no label of the classifier (it has {})",
                            options.class_name, fmt::join(labels, ", ")),
                "give a label or its number from 0");
  index_ = *index;
  label_ = labels[index_];
}

double ClassScore::log_phi(std::span<const double> logits) const {
  TWISTOR_ASSERT(logits.size() == n_labels_, "as many logits as labels");
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
  for (std::size_t at = 0; at < logits.size(); at += n_labels_)
    out.push_back(log_phi(logits.subspan(at, n_labels_)));
  return out;
}

}  // namespace twistor::potential
