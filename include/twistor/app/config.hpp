// Everything a run can be told: one plain struct per section of the configuration file, with its defaults.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::app {

// Choices are kept by name; parse_config() has checked them against the lists in the comments. Member names
// are the keys: smc.particles is config.smc.particles. configs/reference.cfg explains each; a test keeps the
// two equal.

struct ModelConfig {
  std::string path;               ///< HF folder or .gguf file; required; see input_path()
  std::string dtype = "float32";  ///< float32 | bfloat16
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// Exactly one of the two is given.
struct PromptConfig {
  std::string text;
  std::vector<std::int64_t> ids;
  friend bool operator==(const PromptConfig&, const PromptConfig&) = default;
};

struct TargetConfig {
  std::string potential = "continuation";  ///< see potential::potential_names()
  std::int64_t length = 10;                ///< T, generated tokens
  double beta = 1;                         ///< exponent of phi
  std::string text;                        ///< continuation: o as text
  std::vector<std::int64_t> ids;           ///< continuation: o as ids; contains: any of these tokens
  std::string words;                       ///< contains: any of these words or phrases, comma-separated
  std::string table;                       ///< tokens: file of scores; see input_path()
  std::string mode = "bag";                ///< tokens: bag | last; lexicon: bag | distinct | mean
  std::string lexicon;                     ///< lexicon: file of valences; see input_path()
  double cap = std::numeric_limits<double>::infinity();  ///< lexicon: highest valence of a text that counts
  std::string pattern;                                   ///< regex: what must match
  /// contains, regex: log phi of what does not contain any
  double log_floor = -std::numeric_limits<double>::infinity();
  std::string classifier;                ///< classifiers: folder of the model; see input_path()
  std::string encoder;                   ///< similarity, linear_head: folder of a sentence encoder
  std::string head;                      ///< linear_head: file of the head
  std::string dtype = "float32";         ///< of the potential's own model: float32 | bfloat16
  std::string class_name;                ///< key target.class, of classifiers: the class that counts
  bool negate = false;                   ///< classifiers: its absence counts instead
  std::string rule = "probability";      ///< classifiers: probability | threshold
  double threshold = 0;                  ///< classifiers: least log-odds for rule = threshold
  std::string template_text;             ///< key target.template, judge: question with {text} in it
  std::string answer;                    ///< judge: what should follow
  std::string command;                   ///< process: for /bin/sh -c
  double timeout_s = 60;                 ///< process: seconds without a sign of life
  std::string scope = "all";             ///< kinds that read text: all | generation
  bool stop_at_eos = false;              ///< a generated end-of-text token ends the text
  std::vector<std::int64_t> end_token;   ///< its id, where the model's files do not name it
  std::int64_t observation_length = 10;  ///< c, tokens of an o drawn jointly: continuation without text, ids
  friend bool operator==(const TargetConfig&, const TargetConfig&) = default;
};

struct TwistConfig {
  std::string form = "mlp";  ///< linear | mlp | tied_linear | tied_mlp
  double init_scale = 0;     ///< factor on the standard deviation of the output layer's initial weights
  friend bool operator==(const TwistConfig&, const TwistConfig&) = default;
};

struct SmcConfig {
  std::int64_t particles = 64;            ///< K, in one population
  std::string resampling = "stratified";  ///< multinomial | stratified | systematic | residual
  std::string trigger = "every_step";     ///< every_step | ess | never
  double ess_threshold = 0.5;             ///< of K, for trigger = ess
  std::string proposal = "twisted";       ///< base | twisted | tempered
  double proposal_beta = 1;               ///< for proposal = tempered
  std::string order = "resample_first";   ///< resample_first | draw_first
  friend bool operator==(const SmcConfig&, const SmcConfig&) = default;
};

struct TrainConfig {
  std::string objective = "ctl";       ///< ctl
  std::int64_t updates = 200;          ///< in all
  std::int64_t batch = 64;             ///< negative samples per update
  std::string positives = "weighted";  ///< exact | weighted | both
  std::int64_t positive_batch = 64;    ///< positive samples per update
  std::int64_t inner_epochs = 1;       ///< steps of Adam on each batch
  std::int64_t anneal = 0;             ///< first updates in which phi may be annealed
  double anneal_ess = 8;               ///< effective positives that annealing asks for
  double learning_rate = 1e-3;
  std::string schedule = "fixed";      ///< fixed | doubling; see epoch_ends()
  std::int64_t epochs = 1;             ///< for schedule = fixed
  std::int64_t shards = 8;             ///< fixed parts of a batch whose gradients are added in a fixed tree
  std::int64_t checkpoint_every = 50;  ///< updates; 0: only at the end
  bool evaluate = true;                ///< before each epoch and at the end
  friend bool operator==(const TrainConfig&, const TrainConfig&) = default;
};

struct EvaluateConfig {
  std::int64_t repeats = 10;                    ///< runs of each estimator of log Z
  std::int64_t samples = 1000;                  ///< for F_q and for G_q
  std::string checkpoint;                       ///< empty: run.output/checkpoint.h5
  bool base = true;                             ///< the base model too
  std::string enumerate = "auto";               ///< auto | never | always
  std::int64_t enumeration_limit = 20'000'000;  ///< most sequences V^T for enumerate = auto
  friend bool operator==(const EvaluateConfig&, const EvaluateConfig&) = default;
};

struct ExactConfig {
  std::string source = "auto";      ///< auto | enumeration | rejection | joint
  std::int64_t count = 1000;        ///< exact samples to make
  std::int64_t budget = 1'000'000;  ///< most sequences that rejection draws
  std::string path;                 ///< empty: run.output/exact.h5
  friend bool operator==(const ExactConfig&, const ExactConfig&) = default;
};

struct SampleConfig {
  std::int64_t count = 100;
  std::string from = "draws";    ///< draws | population
  bool unique = false;           ///< repeated texts once, with their number
  std::int64_t top = 0;          ///< only so many of the best; 0: all
  std::string format = "jsonl";  ///< jsonl | csv
  std::string path;              ///< empty: run.output/samples.jsonl or samples.csv
  friend bool operator==(const SampleConfig&, const SampleConfig&) = default;
};

struct RunConfig {
  std::uint64_t seed = 1;
  std::string output = "runs/default";    ///< folder of all that the run writes; see output_path()
  std::int64_t ranks_per_population = 0;  ///< 0: all
  std::string resume = "auto";            ///< auto | never | require
  std::string device = "cpu";             ///< cpu | cuda
  bool progress = true;                   ///< the progress line
  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

struct Config {
  ModelConfig model;
  PromptConfig prompt;
  TargetConfig target;
  TwistConfig twist;
  SmcConfig smc;
  TrainConfig train;
  EvaluateConfig evaluate;
  ExactConfig exact;
  SampleConfig sample;
  RunConfig run;
  friend bool operator==(const Config&, const Config&) = default;
};

/// "--section.key=value" from the command line; the value is taken as it stands.
struct Override {
  std::string key;
  std::string value;
};

/// Reads INI text ("[section]" and "key = value", or "section.key = value"), then the overrides, then checks
/// what belongs together. `name` stands for the text in messages. *Local.* Throws Error(config) naming place,
/// key, what is allowed and the nearest key that exists.
[[nodiscard]] Config parse_config(std::string_view text, const std::string& name = "configuration",
                                  std::span<const Override> overrides = {});

/// parse_config() of a file. *Local.* Throws Error(no_input) if it cannot be read.
[[nodiscard]] Config load_config(const std::filesystem::path& file, std::span<const Override> overrides = {});

/// Canonical INI text: every key, in a fixed order. parse_config(to_text(c)) == c to the last bit for a valid
/// c.
[[nodiscard]] std::string to_text(const Config& config);

/// The same as one JSON object of objects, {"model": {"path": ...}, ...}; infinities become strings, as
/// "-inf".
[[nodiscard]] std::string to_json(const Config& config);

/// Numbers of updates after which epochs end, increasing, the last being train.updates. fixed: `epochs` parts
/// as equal as possible. doubling: 2, 4, 8, ... (Zhao et al. 2024, app. on training: epoch 0 has 2 updates,
/// epoch e has 2^e).
[[nodiscard]] std::vector<std::int64_t> epoch_ends(const TrainConfig& train);

/// "~/x" and "${TWISTOR_CACHE}/x" written out (TWISTOR_CACHE defaults to ~/.cache/twistor). Throws
/// Error(config) on any other ${...} and when HOME is needed and not set.
[[nodiscard]] std::filesystem::path output_path(const std::string& value);

/// The names that launch/get_model.sh fetches into ${TWISTOR_CACHE}/models; a test keeps the two equal.
inline constexpr std::string_view fetched_models[] = {"smollm2", "minilm", "vader", "toxicity"};

/// output_path(), then looked for from the current folder and, failing that, from the parent of the folder
/// that holds `config_file` (the repository's root for configs/x.cfg). Throws Error(no_input) naming `key`
/// and both places, or the command that fetches a shipped configuration's model.
[[nodiscard]] std::filesystem::path input_path(const std::string& value,
                                               const std::filesystem::path& config_file,
                                               std::string_view key);

}  // namespace twistor::app
