// SPDX-License-Identifier: Apache-2.0
// Products of potentials.
#include "product.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_product = "making the potential 'product'";

}  // namespace

ProductPotential::ProductPotential(std::vector<Part> parts) : parts_(std::move(parts)) {
  TWISTOR_CHECK(!parts_.empty(), ErrorKind::config, making_product, "there are no factors",
                "give each a section: [factor.a], with potential, its keys and weight");
  for (const Part& part : parts_)
    TWISTOR_CHECK(part.weight > 0 && std::isfinite(part.weight), ErrorKind::config, making_product,
                  fmt::format("{}.weight is {} (expected a positive number)", part.name, part.weight));
}

std::vector<double> ProductPotential::log_phi(const Sequences& sequences) const {
  std::vector<double> sum(static_cast<std::size_t>(sequences.size()));
  for (const Part& part : parts_) {
    const std::vector<double> values = part.potential->log_phi(sequences);
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] = sum[i] == log_zero ? log_zero : sum[i] + part.weight * values[i];
  }
  return sum;
}

double ProductPotential::log_phi_bound() const {
  double sum = 0;
  for (const Part& part : parts_) {
    const double bound = part.potential->log_phi_bound();
    if (bound == -log_zero) return bound;
    sum += part.weight * bound;
  }
  return sum;
}

std::string ProductPotential::description() const {
  std::string out = "product:";
  for (const Part& part : parts_)
    out += fmt::format("{} {} to the power {} ({})", &part == parts_.data() ? "" : ",", part.name,
                       part.weight, part.potential->description());
  return out;
}

std::string ProductPotential::fingerprint() const {
  Sha256 digest;
  for (const Part& part : parts_) digest.add(part.name + ":" + part.potential->fingerprint() + "|");
  return digest.finish_hex();
}

std::unique_ptr<Potential> make_product(const PotentialOptions& options, const TargetContext& context) {
  std::vector<ProductPotential::Part> parts;
  for (const auto& [name, factor] : options.factors) {
    TWISTOR_CHECK(factor.options.potential != "product", ErrorKind::config, making_product,
                  fmt::format("{}.potential is product", name),
                  "give its factors sections beside the others");
    TWISTOR_CHECK(factor.options.potential != "continuation" || !context.end_rule().can_end(),
                  ErrorKind::config, making_product,
                  fmt::format("{} asks what follows s, and nothing follows a text that has ended", name),
                  "set target.stop_at_eos = false, or choose another potential");
    PotentialOptions own = factor.options;
    own.length = options.length;
    try {
      parts.push_back({name, factor.weight, make_potential(own, context)});
    } catch (const Error& error) {
      throw Error(error.kind(), "making " + name, error.what(), error.hint());
    }
  }
  return std::make_unique<ProductPotential>(std::move(parts));
}

}  // namespace twistor::potential
