// Between a twist in memory and a checkpoint on disk.
#pragma once

#include "twistor/app/compatibility.hpp"
#include "twistor/app/session.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/store/checkpoint.hpp"

namespace twistor::app {

/// Everything that learning needs to go on.
[[nodiscard]] store::Checkpoint to_checkpoint(const Session& session, const twist::Trainable& twist,
                                              const learn::TrainerState& state);

/// What to tell people before a checkpoint above 100 MB is written; empty for smaller ones. *Local.*
[[nodiscard]] std::string size_notice(const store::Checkpoint& checkpoint);

/// Sets the twist's parameters. Throws Error(data) if names or shapes do not fit.
void set_parameters(twist::Trainable& twist, const store::Checkpoint& checkpoint);
[[nodiscard]] learn::TrainerState trainer_state(const store::Checkpoint& checkpoint);

/// require_compatible() with what this run has.
void require_fits(const Session& session, const store::Checkpoint& checkpoint, Purpose purpose);

}  // namespace twistor::app
