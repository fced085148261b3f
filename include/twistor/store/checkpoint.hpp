// SPDX-License-Identifier: Apache-2.0
// What a training run needs to go on where it stopped, on any number of ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "twistor/store/archive.hpp"

namespace twistor::store {

using NamedArrays = std::map<std::string, Array<float>>;

/// State after `update` updates. Holds nothing that depends on the number of ranks.
struct Checkpoint {
  std::string config_text;        ///< the whole configuration, as INI text
  std::string model_fingerprint;  ///< of the frozen language model
  std::string twist_form;         ///< "linear", "mlp", ...
  std::string link;               ///< from scores to log psi; "identity" in files that do not say
  std::string objective;          ///< what learning lowered; "ctl" in files that do not say
  std::int64_t update = 0;        ///< updates done
  std::uint64_t seed = 0;         ///< run.seed; random numbers follow from it and `update`
  NamedArrays parameters;         ///< of the twist
  NamedArrays adam_m, adam_v;     ///< moments, same names and shapes as parameters, or empty
  std::int64_t adam_step = 0;
  std::int64_t samples = 0,
               milliseconds = 0;     ///< drawn for learning and spent on it; 0 in files that do not say
  std::string exact_samples_path;    ///< empty if there are none
  std::string learned_samples;       ///< digest of those that learning drew from; empty: none, or not said
  std::vector<std::int64_t> prompt;  ///< token ids of s0; empty in files that do not say
  std::vector<std::int64_t> pinned;  ///< the last positive that is known, T token ids; empty: none
  std::vector<std::int64_t> round_tokens;          ///< (n, T) samples of a round of distillation; empty: none
  std::vector<double> round_log_w, round_log_phi;  ///< (n) what they count, and log phi
  std::vector<std::int64_t> holdout_tokens;        ///< (m, T) texts of the round that are held out
  std::vector<double> holdout_log_w, holdout_scores;  ///< (m) what they count; what checks have found
  NamedArrays holdout_best;                           ///< the parameters of the best check, or empty
  std::string target_identity;                        ///< of phi, with what was drawn or read for it
  std::map<std::string, double> numbers;              ///< evaluations so far, where there were any
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

/// Writes `path` atomically and keeps the generation before it. *Local*: one rank calls it. Throws Error(io).
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint,
                      const WriteOptions& options = {});

/// The newest valid generation. *Local.* Throws Error(no_input) if there is none, Error(data) if all are
/// damaged.
[[nodiscard]] Checkpoint load_checkpoint(const std::filesystem::path& path);

/// From an archive of kind "checkpoint" that is in memory. Throws Error(data) for missing or unfit parts.
[[nodiscard]] Checkpoint checkpoint_from(Archive archive);

/// SHA-256 over names, shapes and bytes of the parameters in the order of their names: equal if and only if
/// the learned twists are the same to the last bit.
[[nodiscard]] std::string parameters_sha256(const Checkpoint& checkpoint);

/// What to tell people before a checkpoint above 100 MB is written; empty for smaller ones. *Local.*
[[nodiscard]] std::string size_notice(const Checkpoint& checkpoint);

}  // namespace twistor::store
