// SPDX-License-Identifier: Apache-2.0
// Everything a run can be told: one plain struct per section of the configuration file, with its defaults.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/comm/transport.hpp"
#include "twistor/config/ini.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/device/place.hpp"
#include "twistor/estimate/options.hpp"
#include "twistor/exact/options.hpp"
#include "twistor/learn/options.hpp"
#include "twistor/learn/schedule.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/potential/options.hpp"
#include "twistor/report/sample_file.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/text/prompt.hpp"
#include "twistor/twist/options.hpp"

namespace twistor::run {

// Each section visits its keys (config/key.hpp). Choices that are texts are kept by name; parse_config() has
// checked them. configs/reference.cfg explains every key; a test keeps it and the visits equal.

/// Who reads the weights of models that a node keeps once.
enum class Load { shared_file, broadcast };
constexpr auto names_of(Load) {
  return std::array{Named{Load::shared_file, "shared_file"}, Named{Load::broadcast, "broadcast"}};
}

struct ModelConfig {
  std::string path;  ///< HF folder or .gguf file; required; see config::input_path()
  device::Precision dtype = device::Precision::float32;
  model::PaddedTokens padded_tokens = model::PaddedTokens::mask;
  std::int64_t context = 0;  ///< model::LoadOptions::context
  Load load = Load::shared_file;
  void visit_keys(const config::Visitor& visit);
};

struct PromptConfig : text::PromptSource {
  void visit_keys(const config::Visitor& visit);
};

/// The potential, and what the run adds to it.
struct TargetConfig : potential::PotentialOptions {
  TargetConfig() { length = 10; }        // T, generated tokens
  bool stop_at_eos = false;              ///< a generated end-of-text token ends the text
  std::vector<std::int64_t> end_token;   ///< ids of those that end it; empty: as the model's files say
  std::int64_t observation_length = 10;  ///< c, tokens of an o drawn jointly: continuation without text, ids
  void visit_keys(const config::Visitor& visit);
};

struct SmcConfig {
  smc::SweepOptions sweep;
  smc::ProposalOptions proposal;
  std::int64_t particles_at_once = 0;  ///< device::EngineOptions::score_rows
  [[nodiscard]] bool draws_from_policy() const { return proposal.kind == smc::ProposalKind::policy; }
  void visit_keys(const config::Visitor& visit);
};

struct TrainConfig {
  std::string objective = "ctl";  ///< see learn::objective_names()
  std::int64_t updates = 200;     ///< in all
  learn::ObjectiveOptions samples;
  learn::TrainOptions trainer;  ///< the run's length and seed are filled in later
  learn::CourseOptions course;
  void visit_keys(const config::Visitor& visit);
};

/// Whether a run goes on from what run.output has.
enum class Resume { automatic, never, require };
constexpr auto names_of(Resume) {
  return std::array{Named{Resume::automatic, "auto"}, Named{Resume::never, "never"},
                    Named{Resume::require, "require"}};
}

struct RunConfig {
  std::uint64_t seed = 1;
  std::string output = "runs/default";    ///< folder of all that the run writes; see config::output_path()
  std::int64_t ranks_per_population = 0;  ///< 0: all
  Resume resume = Resume::automatic;
  double save_every_s = 10;  ///< between saves of unfinished evaluations, samples and exact samples
  device::Place device = device::Place::cpu;
  device::KernelChoice kernels = device::KernelChoice::automatic;
  comm::Transport collectives = comm::Transport::automatic;
  device::GraphUse graphs = device::GraphUse::automatic;
  bool deterministic = false;  ///< on a GPU: rows have the same bits in every batch
  bool progress = true;        ///< the progress line
  bool tensorboard = false;    ///< files of events in run.output/tensorboard
  void visit_keys(const config::Visitor& visit);
};

struct Config {
  ModelConfig model;
  PromptConfig prompt;
  TargetConfig target;
  twist::FormOptions twist;
  SmcConfig smc;
  smc::Policies policies{{"policy", {}}};
  TrainConfig train;
  estimate::Options evaluate;
  estimate::GridOptions sweep;
  exact::Options exact;
  report::SampleOptions sample;
  RunConfig run;
  friend bool operator==(Config a, Config b);  ///< equal under every key
};

/// Makes the sections with names of their own that a text and the command line speak of.
void add_named_sections(Config& config, std::string_view text, std::span<const config::Override> overrides);

/// The keys of `config`, sections in the order of its members; they point into it.
[[nodiscard]] config::Fields fields_of(Config& config);

/// Reads INI text ("[section]" and "key = value", or "section.key = value"), then the overrides, then checks
/// what belongs together. `name` stands for the text in messages. *Local.* Throws Error(config) naming place,
/// key, what is allowed and the nearest key that exists.
[[nodiscard]] Config parse_config(std::string_view text, const std::string& name = "configuration",
                                  std::span<const config::Override> overrides = {});

/// parse_config() of a file. *Local.* Throws Error(no_input) if it cannot be read.
[[nodiscard]] Config load_config(const std::filesystem::path& file,
                                 std::span<const config::Override> overrides = {});

/// Canonical INI text: every key, in a fixed order. parse_config(to_text(c)) == c to the last bit for a valid
/// c.
[[nodiscard]] std::string to_text(Config config);

/// The same as one JSON object of objects, {"model": {"path": ...}, ...}; infinities become strings, as
/// "-inf".
[[nodiscard]] std::string to_json(Config config);

}  // namespace twistor::run
