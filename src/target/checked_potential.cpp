// The contract of potentials, enforced where values are born.
#include "twistor/target/checked_potential.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "twistor/base/error.hpp"

namespace twistor::target {

CheckedPotential::CheckedPotential(std::string name, std::unique_ptr<Potential> inner,
                                   std::int64_t vocab_size)
    : name_(std::move(name)), inner_(std::move(inner)), vocab_size_(vocab_size) {
  TWISTOR_CHECK(inner_->log_phi_bound() > -std::numeric_limits<double>::infinity(), ErrorKind::config,
                fmt::format("making the potential '{}'", name_), "it is -inf (or NaN) for every sequence");
}

std::vector<double> CheckedPotential::log_phi(const Sequences& sequences) const {
  const std::string doing = fmt::format("evaluating the potential '{}'", name_);
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

  auto values = inner_->log_phi(sequences);
  TWISTOR_ASSERT(static_cast<std::int64_t>(values.size()) == sequences.size(),
                 "a potential gives one value a sequence");
  const double bound = log_phi_bound();
  const double limit = bound + 1e-9 * (1 + std::abs(bound));  // room for rounding
  for (std::size_t i = 0; i < values.size(); ++i) {
    TWISTOR_CHECK(
        !std::isnan(values[i]) && values[i] < std::numeric_limits<double>::infinity(), ErrorKind::data, doing,
        fmt::format("log phi of sequence {} is {} (expected a finite number or -inf)", i, values[i]));
    TWISTOR_CHECK(
        values[i] <= limit, ErrorKind::data, doing,
        fmt::format("log phi of sequence {} is {}, above the bound {} that it states", i, values[i], bound));
  }
  return values;
}

}  // namespace twistor::target
