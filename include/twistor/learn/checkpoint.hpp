// SPDX-License-Identifier: Apache-2.0
// The state of learning in a checkpoint, and out of it.
#pragma once

#include <filesystem>
#include <string>

#include "twistor/comm/communicator.hpp"
#include "twistor/learn/broadcast_archive.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/store/checkpoint.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// A checkpoint as all ranks of a job have it. *Collective over the world that loaded it*: its end.
struct LoadedCheckpoint {
  store::Checkpoint state;  ///< where there are several ranks, large arrays have shapes alone
  LargeArrays large;        ///< their values
};

/// The newest valid generation of a checkpoint, which the first rank reads and verifies for all. *Collective
/// over world.* Throws as store::load_checkpoint() and comm::NodeMemory.
[[nodiscard]] LoadedCheckpoint load_checkpoint(const std::filesystem::path& file,
                                               const comm::Communicator& world);

/// Whether there is a checkpoint of that name, or the generation before it. *Collective over world.*
[[nodiscard]] bool is_on_disk(const std::filesystem::path& file, const comm::Communicator& world);

/// Everything that learning needs to go on, on the first rank; the others hand over what is theirs alone and
/// leave `checkpoint` as it is. *Collective over the trainer's world.*
void save(Trainer& trainer, store::Checkpoint& checkpoint);

/// Gives the trainer the state that was saved, and its twist the parameters. *Collective over the trainer's
/// world.* Throws Error(data) if names or shapes do not fit.
void restore(Trainer& trainer, const LoadedCheckpoint& checkpoint);
/// The twist's link and parameters alone.
void restore(twist::Trainable& twist, const LoadedCheckpoint& checkpoint);

/// The twist's link and parameters from another run's checkpoint, for a run that starts from them.
/// *Collective over world.* Throws what load_checkpoint() throws, and Error(config) if they belong to another
/// model or twist.form.
void start_from(const std::filesystem::path& file, const std::string& model_fingerprint,
                twist::Trainable& twist, const comm::Communicator& world);

}  // namespace twistor::learn
