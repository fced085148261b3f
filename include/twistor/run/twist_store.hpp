// SPDX-License-Identifier: Apache-2.0
// What a run puts into its checkpoints, and whether one belongs to it.
#pragma once

#include "twistor/estimate/evaluation.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/run/compatibility.hpp"
#include "twistor/run/session.hpp"
#include "twistor/store/checkpoint.hpp"

namespace twistor::run {

/// Everything that learning needs to go on; the state of learning on the first rank alone. *Collective over
/// world.*
[[nodiscard]] store::Checkpoint to_checkpoint(const Session& session, const twist::Trainable& twist,
                                              learn::Trainer& trainer);

/// Where evaluation and sampling find their twist: evaluate.checkpoint, or what a run in run.output ended
/// with.
[[nodiscard]] std::filesystem::path twist_file(const Session& session);

/// A twist that populations are steered by, and what unfinished work with it is known by.
struct LoadedTwist {
  std::unique_ptr<twist::Twist> twist;
  const twist::Trainable* learned = nullptr;  ///< the same twist; null: psi = 1
  std::string work_key{};
  std::string name = "twist";                    ///< in files
  std::int64_t update = 0;                       ///< that it has seen
  smc::Trigger trigger = smc::Trigger::ess;      ///< of its sweeps
  std::optional<estimate::Evaluation> before{};  ///< learning, if its checkpoint has it
};
/// The twist that `command` takes: the one of twist_file(), or one that is computed. With q = p0 there need
/// not be any checkpoint. *Collective over the world.*
[[nodiscard]] LoadedTwist load_twist(Session& session, std::string_view command);
/// Those of evaluate.checkpoints by their short names; else that one. *Collective over the world.*
[[nodiscard]] std::vector<LoadedTwist> load_twists(Session& session, std::string_view command);

/// require_compatible() with what this run has.
void require_fits(const Session& session, const store::Checkpoint& checkpoint, Purpose purpose);

}  // namespace twistor::run
