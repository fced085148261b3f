// SPDX-License-Identifier: Apache-2.0
// Loading policies.
#include "twistor/smc/policy.hpp"

#include <fmt/format.h>

#include <utility>

#include "twistor/config/paths.hpp"

namespace twistor::smc {

std::string LoadedPolicy::identity() const {
  // Temperatures of one name are one number: format's shortest form reads back to the same bits.
  return fmt::format("policy {} temperature {} top_k {} top_p {}", models.other->fingerprint(),
                     truncation.temperature, truncation.top_k, truncation.top_p);
}

std::string LoadedPolicy::description() const {
  std::string out =
      fmt::format("{}: {}, temperature {}", name, models.other->description(), truncation.temperature);
  if (truncation.top_k > 0) out += fmt::format(", top_k {}", truncation.top_k);
  if (truncation.top_p < 1) out += fmt::format(", top_p {}", truncation.top_p);
  return out;
}

LoadedPolicy load_policy(const std::string& name, const PolicyOptions& options, PolicyContext context) {
  const auto find = [&](const std::string& path, const std::string& key) {
    return config::input_path(path, context.config_file, key);
  };
  model::LoadOptions& load = context.load;
  if (options.dtype != "model") {
    const auto precision = from_name<device::Precision>(options.dtype, name + ".dtype");
    load.is_precision_told = precision != load.precision;
    load.precision = precision;
  }
  if (!options.adapter.empty()) load.adapter = find(options.adapter, name + ".adapter");
  const auto path =
      options.path.empty() ? find(context.model_path, "model.path") : find(options.path, name + ".path");
  return {name, model::load_beside(path, load, context.pair), options.truncation};
}

}  // namespace twistor::smc
