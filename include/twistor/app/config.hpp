// Everything a run can be told: one plain struct per section of the configuration file, with its defaults.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/config/ini.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/device/place.hpp"
#include "twistor/estimate/draws.hpp"
#include "twistor/exact/options.hpp"
#include "twistor/learn/options.hpp"
#include "twistor/learn/schedule.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/potential/options.hpp"
#include "twistor/report/sample_file.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/text/front.hpp"

namespace twistor::app {

// Each section visits its keys (config/key.hpp). Choices that are texts are kept by name; parse_config() has
// checked them. configs/reference.cfg explains every key; a test keeps it and the visits equal.

struct ModelConfig {
  std::string path;  ///< HF folder or .gguf file; required; see config::input_path()
  device::Precision dtype = device::Precision::float32;
  model::PaddedTokens padded_tokens = model::PaddedTokens::mask;
  void visit_keys(const config::Visitor& visit);
};

/// Exactly one of text and ids is given.
struct PromptConfig {
  std::string text;
  std::vector<std::int64_t> ids;
  text::FrontTokens special_tokens = text::FrontTokens::automatic;
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

struct TwistConfig {
  std::string form = "mlp";    ///< see twist::twist_forms()
  std::string body = "base";   ///< base | copy | lora: whose hidden states the head reads
  std::int64_t lora_rank = 8;  ///< as model::LoraOptions, for body = lora
  double lora_alpha = 16;      ///< likewise
  std::string lora_targets;    ///< names separated by commas; empty: all matrices of the layers
  std::string adapter;         ///< folder of a PEFT adapter to start from; empty: none
  double init_scale = 0;       ///< as twist::TwistOptions
  [[nodiscard]] bool has_body() const { return body != "base"; }
  void visit_keys(const config::Visitor& visit);
};

struct SmcConfig {
  smc::SweepOptions sweep;
  smc::ProposalOptions proposal;
  void visit_keys(const config::Visitor& visit);
};

/// Which of the twists that were evaluated a run ends with.
enum class Keep { last, best };
constexpr auto names_of(Keep) {
  return std::array{Named{Keep::last, "last"}, Named{Keep::best, "best"}};
}

struct TrainConfig {
  std::string objective = "ctl";  ///< see learn::objective_names()
  learn::ObjectiveOptions samples;
  learn::TrainOptions trainer;  ///< the run's length and seed are filled in later
  std::int64_t updates = 200;   ///< in all
  learn::Schedule schedule = learn::Schedule::fixed;
  std::int64_t epochs = 1;             ///< for schedule = fixed
  std::int64_t checkpoint_every = 50;  ///< updates; 0: only at the end
  bool evaluate = true;                ///< before each epoch and at the end
  std::string start;                   ///< checkpoint whose twist learning starts from; empty: a fresh one
  double max_seconds = 0;              ///< as learn::Plan::most_seconds
  std::int64_t max_samples = 0;        ///< as learn::Plan::most_samples
  Keep keep = Keep::last;
  std::int64_t patience = 0;  ///< keep = best: evaluations without a better one that end learning; 0: never
  [[nodiscard]] std::vector<std::int64_t> epoch_ends() const {
    return learn::epoch_ends(schedule, updates, epochs);
  }
  void visit_keys(const config::Visitor& visit);
};

/// When the target is enumerated for an exact log Z.
enum class Enumerate {
  automatic,  ///< up to enumeration_limit sequences
  never,
  always,
};
constexpr auto names_of(Enumerate) {
  return std::array{Named{Enumerate::automatic, "auto"}, Named{Enumerate::never, "never"},
                    Named{Enumerate::always, "always"}};
}

struct EvaluateConfig {
  std::int64_t repeats = 10;    ///< runs of each estimator of log Z
  std::int64_t samples = 1000;  ///< for F_q and for G_q
  std::string checkpoint;       ///< empty: run.output/checkpoint.h5
  bool base = true;             ///< the base model too
  Enumerate enumerate = Enumerate::automatic;
  std::int64_t enumeration_limit = 20'000'000;  ///< most sequences V^T for enumerate = auto
  bool enumerate_q = true;                      ///< q too, where the target is enumerated
  std::string log_z;                            ///< a number that is known from elsewhere; empty: none
  /// Sequences V^T up to which the target is enumerated.
  [[nodiscard]] double most_enumerated() const;
  /// log_z as a number. Throws Error(config) if it is none.
  [[nodiscard]] std::optional<double> given_log_z() const;
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
  device::Place device = device::Place::cpu;
  device::KernelChoice kernels = device::KernelChoice::automatic;
  bool progress = true;  ///< the progress line
  void visit_keys(const config::Visitor& visit);
};

struct Config {
  ModelConfig model;
  PromptConfig prompt;
  TargetConfig target;
  TwistConfig twist;
  SmcConfig smc;
  TrainConfig train;
  EvaluateConfig evaluate;
  exact::Options exact;
  report::SampleOptions sample;
  RunConfig run;
  friend bool operator==(const Config& a, const Config& b);  ///< equal under every key
};

/// The keys of `config`, sections in the order of its members.
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
[[nodiscard]] std::string to_text(const Config& config);

/// The same as one JSON object of objects, {"model": {"path": ...}, ...}; infinities become strings, as
/// "-inf".
[[nodiscard]] std::string to_json(const Config& config);

}  // namespace twistor::app
