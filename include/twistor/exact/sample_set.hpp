// SPDX-License-Identifier: Apache-2.0
// The set of exact samples that a run uses: found in a file, continued where it was stopped, or made anew.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/folder_lock.hpp"
#include "twistor/base/interrupt.hpp"
#include "twistor/base/streams.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/exact/options.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/store/exact_samples.hpp"

namespace twistor::exact {

/// sigma, and what ties a set of samples to it.
struct Target {
  const model::LanguageModel& lm;
  std::span<const std::int64_t> prompt;  ///< (L)
  std::int64_t length = 1;               ///< T
  const potential::Potential& potential;
  std::string identity;                          ///< of the potential: all that defines phi
  std::span<const std::int64_t> joint_sample{};  ///< (T), the s that o was drawn with; else empty
  std::span<const std::int64_t> observation{};   ///< (c), that o; else empty
  bool is_joint_exact = true;  ///< phi(s) = p0(o | s): of a power of it, joint_sample is no exact sample
};

/// The way for exact.source = auto: a joint draw that is there already, enumeration of at most so many
/// sequences V^T, rejection under a finite bound. *Local.*
[[nodiscard]] Way choose_way(const Target& target, double most_enumerated);

/// Samples that come without draws of the base model, where the file is or is not there; -1 if rejection
/// draws them. *Local.*
[[nodiscard]] std::int64_t n_without_draws(Way way, std::int64_t count, bool is_file_there);

struct SetOptions {
  Way way = Way::none;                          ///< chosen: not automatic
  std::int64_t count = 1000;                    ///< samples wanted
  std::int64_t budget = 1'000'000;              ///< most sequences that rejection draws
  std::int64_t enumeration_limit = 20'000'000;  ///< most sequences V^T
  std::uint64_t seed = 1;                       ///< the run's
  std::filesystem::path file;                   ///< where the set is, or will be; empty: in memory alone
  /// Whether the file serves all runs on one target, whatever their seeds; who needs more samples extends it.
  /// Another must be what this run would make, so that results do not depend on what was in the folder.
  bool is_shared = false;
  /// Where enumeration finds that phi is 0 everywhere: log Z = -inf and no samples, in the place of an error.
  bool may_be_empty = false;
};

/// As the keys exact.* have them, without a file. *Local.*
[[nodiscard]] SetOptions set_options(const Options& exact, const Target& target, double most_enumerated,
                                     std::int64_t enumeration_limit, std::uint64_t seed);

/// Samples of p0 to compare with, and their phi: the same on every rank, whatever the number of ranks.
struct BaseDraws {
  std::vector<std::int64_t> tokens;  // (n, T)
  std::vector<double> log_phi;       // (n)
};
/// Dealt out to the ranks. *Collective over world.*
[[nodiscard]] BaseDraws draw_base(const Target& target, std::int64_t n, std::uint64_t seed,
                                  const comm::Communicator& world, Stream stream = Stream::base_check);

/// Where a rejection that is not finished keeps what it has (NAME.partial.h5): a finished file gives way to
/// whole results alone.
[[nodiscard]] std::filesystem::path partial_file(const std::filesystem::path& file);

/// The same on every rank, except for `problem` and `lock`.
struct SampleSet {
  store::ExactSamples samples;
  bool is_lacking = true;  ///< make() has something to do
  bool is_new = false;     ///< keep() has something to write
  std::string
      problem{};       ///< on the first rank: why what an earlier run left unfinished is of no use; or empty
  double seconds = 0;  ///< that make() took
  FolderLock lock{};   ///< on the first rank: of the file, from make() to keep()
};

/// What the file has for this run: all it needs, or the beginning of it, or nothing. *Collective over world.*
/// Throws Error(config) if a shared file holds samples of another target, or too few of an enumeration where
/// this run would not enumerate.
[[nodiscard]] SampleSet find(const Target& target, const SetOptions& options,
                             const comm::Communicator& world);

/// Makes what the set lacks, by the seed of what is there: a set that is extended is to the bit what would
/// have been made at once. Runs that share a file wait for one another here; what another has made meanwhile
/// is taken. False if it was interrupted: a rejection has then saved what it has, and an
/// enumeration leaves nothing. The set may end smaller than wanted, or empty where way = none. *Collective
/// over world*; an enumeration runs on the first rank, which alone asks steering.wish and observes. Throws
/// Error(data) if phi is 0 everywhere, Error(config) for a joint draw where nothing was drawn jointly.
[[nodiscard]] bool make(const Target& target, const SetOptions& options, const comm::Communicator& world,
                        const Steering& steering, SampleSet& set);

/// What make() is about to do, where that takes long; else empty. *Local.*
[[nodiscard]] std::string plan(const Target& target, const SetOptions& options,
                               const store::ExactSamples& samples);
/// What an interrupted make() has left. *Local.*
[[nodiscard]] std::string what_is_kept(const SetOptions& options, const store::ExactSamples& samples);
/// "N of M exact samples from D draws, one in R". *Local.*
[[nodiscard]] std::string description(const SetOptions& options, const store::ExactSamples& samples);

/// What to warn of where a rejection has made fewer samples than wanted; else empty. *Local.*
[[nodiscard]] std::string shortfall(const SetOptions& options, const store::ExactSamples& samples);

/// Writes a new set, if it is not empty, and removes the unfinished one; of a rejection without any sample
/// the number of draws is kept there. One rank calls it. *Local.* Throws Error(io).
void keep(const SetOptions& options, SampleSet& set);

}  // namespace twistor::exact
