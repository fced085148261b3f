// SPDX-License-Identifier: Apache-2.0
// The contract of potentials, enforced where values are born.
#include "twistor/potential/checked_potential.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::potential {
namespace {

std::string doing_with(const std::string& name) {
  return fmt::format("evaluating the potential '{}'", name);
}

void check_bound(const std::string& name, double bound) {
  TWISTOR_CHECK(bound > -std::numeric_limits<double>::infinity(), ErrorKind::config,
                fmt::format("making the potential '{}'", name), "it is -inf (or NaN) for every sequence");
}

/// `what(i)` names argument i in messages.
template <class What>
void check_values(const std::string& name, const std::vector<double>& values, std::size_t n, double bound,
                  const What& what) {
  TWISTOR_ASSERT(values.size() == n, "a potential gives one value for each sequence or text");
  const double limit = bound + 1e-9 * (1 + std::abs(bound));  // room for rounding
  for (std::size_t i = 0; i < n; ++i) {
    TWISTOR_CHECK(!std::isnan(values[i]) && values[i] < std::numeric_limits<double>::infinity(),
                  ErrorKind::data, doing_with(name),
                  fmt::format("log phi of {} is {} (expected a finite number or -inf)", what(i), values[i]));
    TWISTOR_CHECK(
        values[i] <= limit, ErrorKind::data, doing_with(name),
        fmt::format("log phi of {} is {}, above the bound {} that it states", what(i), values[i], bound));
  }
}

}  // namespace

CheckedPotential::CheckedPotential(std::string name, std::unique_ptr<Potential> inner,
                                   std::int64_t vocab_size)
    : name_(std::move(name)), inner_(std::move(inner)), vocab_size_(vocab_size) {
  check_bound(name_, inner_->log_phi_bound());
}

void CheckedPotential::check(const Sequences& sequences) const {
  const std::string doing = doing_with(name_);
  TWISTOR_CHECK(
      sequences.length >= 1 && sequences.tokens.size() % static_cast<std::size_t>(sequences.length) == 0,
      ErrorKind::usage, doing,
      fmt::format("{} tokens are no whole number of sequences of length {}", sequences.tokens.size(),
                  sequences.length));
  if (vocab_size_ > 0)
    for (const auto part : {sequences.prompt, sequences.tokens})
      for (const std::int64_t token : part)
        TWISTOR_CHECK(token >= 0 && token < vocab_size_, ErrorKind::usage, doing,
                      fmt::format("token {} is out of range (expected 0 to {})", token, vocab_size_ - 1));
}

std::vector<double> CheckedPotential::checked(std::vector<double> values, const Sequences& sequences) const {
  check_values(name_, values, static_cast<std::size_t>(sequences.size()), log_phi_bound(),
               [](std::size_t i) { return fmt::format("sequence {}", i); });
  return values;
}

std::vector<double> CheckedPotential::log_phi(const Sequences& sequences) const {
  check(sequences);
  return checked(inner_->log_phi(sequences), sequences);
}

std::vector<double> CheckedPotential::log_phi_of_prefix(const Sequences& prefixes) const {
  check(prefixes);
  std::vector<double> values = inner_->log_phi_of_prefix(prefixes);
  check_values(name_, values, static_cast<std::size_t>(prefixes.size()),
               std::numeric_limits<double>::infinity(),
               [](std::size_t i) { return fmt::format("prefix {}", i); });
  return values;
}

std::vector<double> CheckedPotential::log_phi_given(const Sequences& sequences,
                                                    std::span<const std::int64_t> observations) const {
  check(sequences);
  return checked(inner_->log_phi_given(sequences, observations), sequences);
}

std::unique_ptr<Potential> CheckedPotential::given(std::span<const std::int64_t> observation) const {
  auto inner = inner_->given(observation);
  return inner == nullptr ? nullptr
                          : std::make_unique<CheckedPotential>(name_, std::move(inner), vocab_size_);
}

CheckedScorer::CheckedScorer(std::string name, std::unique_ptr<TextScorer> inner)
    : name_(std::move(name)), inner_(std::move(inner)) {
  check_bound(name_, inner_->log_phi_bound());
}

std::vector<double> CheckedScorer::log_phi(std::span<const std::string> texts) const {
  return checked(inner_->log_phi(texts), texts);
}

std::vector<double> CheckedScorer::log_phi_of_answers(const std::string& prompt,
                                                      std::span<const std::string> answers) const {
  return checked(inner_->log_phi_of_answers(prompt, answers), answers);
}

std::vector<double> CheckedScorer::checked(std::vector<double> values,
                                           std::span<const std::string> texts) const {
  check_values(name_, values, texts.size(), log_phi_bound(),
               [&](std::size_t i) { return fmt::format("the text {}", format::quote(texts[i])); });
  return values;
}

std::unique_ptr<TextScorer> CheckedScorer::given(std::span<const std::int64_t> observation) const {
  auto inner = inner_->given(observation);
  return inner == nullptr ? nullptr : std::make_unique<CheckedScorer>(name_, std::move(inner));
}

}  // namespace twistor::potential
