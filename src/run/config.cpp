// SPDX-License-Identifier: Apache-2.0
// Reading, checking and writing configurations.
#include "twistor/run/config.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/report/config_json.hpp"

namespace twistor::run {
namespace {

// What no key can know alone.
void validate(const Config& config, const std::string& name) {
  const std::string doing = fmt::format("checking {}", name);
  TWISTOR_CHECK(
      !config.model.path.empty(), ErrorKind::config, doing, "model.path is missing",
      "name a folder in Hugging Face layout or a .gguf file, for instance model.path = models/tiny");
  text::validate(config.prompt, doing);
  TWISTOR_CHECK(!config.run.output.empty(), ErrorKind::config, doing, "run.output is empty",
                "name a folder, for instance run.output = runs/first");
  TWISTOR_CHECK(config.run.collectives != comm::Transport::nccl || config.run.device != device::Place::cpu,
                ErrorKind::config, doing,
                "run.collectives = nccl carries tensors between GPUs, and run.device = cpu",
                "set run.collectives = auto, or run.device = cuda");
  potential::validate(config.target, config.target.stop_at_eos, doing);
  twist::validate(config.twist, doing);
  smc::validate(config.smc.proposal, config.smc.sweep, config.policies, doing);
  exact::validate(config.exact, config.target.beta, doing);
  estimate::validate(config.evaluate, config.sweep, doing);
}

}  // namespace

bool operator==(Config a, Config b) {
  return config::are_equal(fields_of(a), fields_of(b));
}

void add_named_sections(Config& config, std::string_view text, std::span<const config::Override> overrides) {
  for (const std::string& name : config::named_sections("policy", text, overrides))
    config.policies.try_emplace("policy." + name);
  for (const std::string& name : config::named_sections("factor", text, overrides))
    config.target.factors.try_emplace("factor." + name);
}

Config parse_config(std::string_view text, const std::string& name,
                    std::span<const config::Override> overrides) {
  Config config;
  add_named_sections(config, text, overrides);
  const config::Fields fields = fields_of(config);
  config::read_text(text, name, fields);
  config::apply(overrides, fields);
  validate(config, name);
  return config;
}

Config load_config(const std::filesystem::path& file, std::span<const config::Override> overrides) {
  return parse_config(config::read_file(file), file.string(), overrides);
}

std::string to_text(Config config) {
  return config::to_text(fields_of(config));
}

std::string to_json(Config config) {
  return report::to_json(fields_of(config));
}

}  // namespace twistor::run
