// SPDX-License-Identifier: Apache-2.0
// Where a run tells what it finds: an interface, and every kind of output behind it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/estimate/tail.hpp"

namespace twistor::report {

/// One update of learning.
struct Update {
  std::int64_t update = 0;  ///< its number, from 1
  double loss = 0, log_z_hat = 0;
  std::vector<std::pair<std::string, double>> numbers{};  ///< what else the objective watches, by name
  bool is_skipped = false;                                ///< nothing was learned from it
  double seconds = 0;
};

/// "update 3 of 500  loss ...", for the progress line. *Local.*
[[nodiscard]] std::string to_line(const Update& update, std::int64_t n_updates);

struct NamedEvaluation {
  std::string name;
  estimate::Evaluation evaluation;
};

/// What was found about one of many prompts. Nothing in it depends on time or ranks, but for the seconds of
/// evaluations, which no file of prompts has.
struct PromptRow {
  std::string id;                   ///< empty: it has none
  std::optional<std::string> text;  ///< none where it was given as tokens and there is no tokenizer
  std::vector<std::int64_t> ids{};
  std::int64_t length = 0;                     ///< T
  std::vector<NamedEvaluation> evaluations{};  ///< by sampler, the same ones in every row
  std::int64_t n_exact = 0, n_draws = 0;       ///< exact samples, and draws of p0 that they took
  std::int64_t n_sequences = 0;                ///< that were drawn or scored to measure
};

/// What was found at one K with one seed; likewise.
struct GridRow {
  std::int64_t particles = 0;
  std::uint64_t seed = 0;
  std::vector<NamedEvaluation> evaluations{};  ///< by sampler, the same ones in every row
};

/// The largest P(event) among so many prompts, by one sampler.
struct NamedForecast {
  std::string name;
  std::int64_t n = 0;  ///< prompts
  estimate::TailFit fit{};
  estimate::Forecast largest{};
};

/// All that a finished run has found.
struct Run {
  /// The evaluations; `base` (of the base model) and `before` (learning) may be null, and one and the same
  /// where learning started from psi = 1.
  const estimate::Evaluation *base = nullptr, *before = nullptr, *after = nullptr;
  std::vector<NamedEvaluation> policies{};  ///< by their sections' names
  /// Of evaluate.checkpoints: `after` is that of the first, whose name stands here, and these are the others.
  std::string after_name{};
  std::vector<NamedEvaluation> checkpoints{};
  bool is_computed = false;      ///< the twist of `after` is computed, not learned
  bool is_after_policy = false;  ///< `after` is that of the first policy: there is no twist
  Counters counters{};           ///< of all ranks
  std::string config_text{}, config_json{};
  std::string target{};                                         ///< the potential in words
  std::vector<std::pair<std::string, std::string>> versions{};  ///< of this program and what it uses
  std::int64_t particles = 0;                                   ///< K
  std::int64_t n_ranks = 1;
  std::string job{};                                          ///< id of the batch system's; empty: none
  std::vector<std::pair<std::string, std::int64_t>> hosts{};  ///< ranks by host
  double seconds = 0;                                         ///< in all
  std::filesystem::path folder{};
  /// Tokens of the prompt; those that the tokenizer put in front of it, and by which rule of its files.
  std::vector<std::int64_t> prompt{}, special_tokens{};
  std::string special_tokens_rule{};
  /// The text of tokens; empty without a tokenizer.
  std::function<std::string(std::span<const std::int64_t>)> decode{};
  /// Where positives of learning came from, and why, if the run decided that.
  std::string positives{};
  /// Where there are many prompts: each by itself, in the order of the file, and the file's digest. The
  /// evaluations are then means over them.
  std::vector<PromptRow> prompts{};
  std::string prompts_digest{};
  std::vector<NamedForecast> forecasts{};
  /// Where there are several K or seeds: each by itself, by K and then seed. `base`, `after` and
  /// `checkpoints` are then means over seeds at the last K.
  std::vector<GridRow> grid{};
};

/// Told as a run goes on, by one rank. All does nothing here, so that a sink says only what it is for.
/// *Local.* Files throw Error(io).
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void update(const Update& /*update*/) {}
  virtual void evaluation(const estimate::Evaluation& /*evaluation*/) {}
  virtual void finished(const Run& /*run*/) {}
};

/// Tells all of its parts, in their order; ranks that tell nobody have none.
class Sinks final : public Sink {
 public:
  void add(std::unique_ptr<Sink> sink) { parts_.push_back(std::move(sink)); }
  void update(const Update& update) override {
    for (const auto& part : parts_) part->update(update);
  }
  void evaluation(const estimate::Evaluation& evaluation) override {
    for (const auto& part : parts_) part->evaluation(evaluation);
  }
  void finished(const Run& run) override {
    for (const auto& part : parts_) part->finished(run);
  }

 private:
  std::vector<std::unique_ptr<Sink>> parts_;
};

/// metrics.jsonl: a line per update and evaluation; `keep_until_update` as MetricsWriter's.
[[nodiscard]] std::unique_ptr<Sink> json_lines(const std::filesystem::path& file,
                                               std::optional<std::int64_t> keep_until_update = std::nullopt);
/// results.h5, when the run is finished.
[[nodiscard]] std::unique_ptr<Sink> results_file(const std::filesystem::path& file);
/// summary.json, when the run is finished.
[[nodiscard]] std::unique_ptr<Sink> summary_file(const std::filesystem::path& file);
/// prompts.jsonl and prompts.csv, a line for each prompt, when a run over many is finished.
[[nodiscard]] std::unique_ptr<Sink> prompt_files(const std::filesystem::path& folder);
/// sweep.jsonl and sweep.csv, a line for each K and seed, when a run over several is finished.
[[nodiscard]] std::unique_ptr<Sink> grid_files(const std::filesystem::path& folder);
/// What TensorBoard is told beside updates and evaluations.
struct EventOptions {
  std::string config_json{};  ///< an object of objects, for its page of hyperparameters
  std::string name{};         ///< of the run there
  std::function<std::string(std::span<const std::int64_t>)> decode{};  ///< as Run's
  /// Of learning: 0, and earlier files of events are removed; else readers forget what those say of later
  /// updates. None: what is there stays.
  std::optional<std::int64_t> updates_done{};
};
/// A file of events that TensorBoard reads, events.out.tfevents.*, in the folder: scalars of all that
/// metrics.jsonl has, distributions of log phi and log weights, the heaviest texts of a small sweep.
[[nodiscard]] std::unique_ptr<Sink> event_files(const std::filesystem::path& folder, EventOptions options);
/// The evaluations side by side on stdout, when the run is finished.
[[nodiscard]] std::unique_ptr<Sink> console_table();

/// Of the evaluation in `after`: its checkpoint's name, "computed", "untrained" or "after N updates".
[[nodiscard]] std::string name_of_after(const Run& run);

/// What sinks_of_run() needs beside the folder.
struct SinkOptions {
  /// In learning: the updates of an earlier run that it goes on from. Else there are no metrics.
  std::optional<std::int64_t> updates_done{};
  std::string config_text{};             ///< for config.cfg, which learning writes at its start
  std::optional<EventOptions> events{};  ///< none: TensorBoard is told nothing
};
/// All of them for a run that writes into `folder`. *Local.* Throws Error(io).
[[nodiscard]] Sinks sinks_of_run(const std::filesystem::path& folder, SinkOptions options);

/// Gives summary.json, results.h5 and the files of prompts and sweeps of an earlier evaluation in `folder` a
/// second name, summary.N.json, results.N.h5 and so on with the first N that is free, and takes the latter
/// away, before others replace them. One rank calls it. *Local.* Throws Error(io).
void keep_earlier_results(const std::filesystem::path& folder);

}  // namespace twistor::report
