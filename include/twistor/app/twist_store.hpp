// Between a twist in memory and a checkpoint on disk.
#pragma once

#include "twistor/app/compatibility.hpp"
#include "twistor/app/session.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/store/checkpoint.hpp"

namespace twistor::app {

/// The newest valid generation of a checkpoint, which the first rank reads and verifies for all. *Collective
/// over the world.* Throws as store::load_checkpoint().
[[nodiscard]] store::Checkpoint load_checkpoint(const Session& session, const std::filesystem::path& file);

/// Everything that learning needs to go on.
[[nodiscard]] store::Checkpoint to_checkpoint(const Session& session, const twist::Trainable& twist,
                                              learn::Trainer& trainer);

/// What to tell people before a checkpoint above 100 MB is written; empty for smaller ones. *Local.*
[[nodiscard]] std::string size_notice(const store::Checkpoint& checkpoint);

/// What a body of low-rank additions has learned, as PEFT's folder adapter/ in run.output; nothing for other
/// twists, and for models whose matrices PEFT knows under other names (GGUF). *Local.*
void write_adapter(const Session& session, const twist::Trainable& twist);

/// Gives the trainer the state that was saved, and its twist the parameters. Throws Error(data) if names or
/// shapes do not fit.
void restore(learn::Trainer& trainer, const store::Checkpoint& checkpoint);
/// The twist's parameters alone.
void restore(twist::Trainable& twist, const store::Checkpoint& checkpoint);

/// Those of another run's checkpoint, for a run that starts from them. *Collective over the world.* Throws
/// what load_checkpoint() throws, and Error(config) if they belong to another model or twist.form.
void start_from(const Session& session, const std::string& file, twist::Trainable& twist);

/// Where evaluation and sampling find their twist: evaluate.checkpoint, or what a run in run.output ended
/// with.
[[nodiscard]] std::filesystem::path twist_file(const Session& session);

/// require_compatible() with what this run has.
void require_fits(const Session& session, const store::Checkpoint& checkpoint, Purpose purpose);

}  // namespace twistor::app
