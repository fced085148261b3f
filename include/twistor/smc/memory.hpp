// SPDX-License-Identifier: Apache-2.0
// How many particles there is room for, said before a run begins.
#pragma once

#include <cstdint>
#include <string>

#include "twistor/base/memory.hpp"
#include "twistor/device/memory.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/prefill.hpp"

namespace twistor::smc {

/// Bytes of one particle of a sweep, at the most: no two share a block or a row. And what all take together.
struct ParticleBytes {
  std::int64_t cache = 0;     ///< keys and values
  std::int64_t scores = 0;    ///< rows of the vocabulary, and what is selected from them
  std::int64_t states = 0;    ///< hidden states and features
  std::int64_t together = 0;  ///< rows of scores where only some are there at a time (Engine::score_rows)
  [[nodiscard]] std::int64_t all() const { return cache + scores + states; }
  [[nodiscard]] std::int64_t of(std::int64_t particles) const { return particles * all() + together; }
  /// Particles that surely fit into so many bytes.
  [[nodiscard]] std::int64_t fitting(std::int64_t bytes) const {
    return bytes < together ? 0 : (bytes - together) / all();
  }
  /// The same with so many rows of scores at a time.
  [[nodiscard]] ParticleBytes with_score_rows(std::int64_t rows) const;
};

/// `start` has the prompt; length: tokens to come; n_scores: models and twists that score the vocabulary;
/// travels: particles change rank, and may arrive before others have left.
[[nodiscard]] ParticleBytes particle_bytes(const model::LanguageModel& lm, const model::Prefill& start,
                                           std::int64_t length, std::int64_t n_scores, bool travels);

struct MemoryNotice {
  bool is_warning = false;  ///< the particles may not fit
  std::string text;         ///< for people
};

/// Of this rank's `particles` on a GPU, with the model's weights in place: where they may not fit, also how
/// many would if scores were worked off in parts. *Local.*
[[nodiscard]] MemoryNotice memory_notice(const ParticleBytes& each, std::int64_t particles,
                                         const device::DeviceMemory& memory);

/// Of a GPU where a twist of so many numbers is about to be learned, with its values in place: what remains
/// beside a gradient and two moments of float32. *Local.*
[[nodiscard]] MemoryNotice learning_notice(const ParticleBytes& each, std::int64_t particles,
                                           std::int64_t numbers, const device::DeviceMemory& memory);

/// Of `particles` in the main memory of a machine, with weights in place, where scores are worked off tile by
/// tile; empty where all surely fit. *Local.*
[[nodiscard]] std::string main_memory_warning(const ParticleBytes& each, std::int64_t particles,
                                              const MainMemory& memory);

/// This rank's share of a population.
struct Share {
  std::int64_t particles = 0;
  bool travels = false;  ///< other ranks have a share, too
};

/// Logs what there is to say of this rank's particles, which score the vocabulary by the model and a twist:
/// about the GPU that the model computes on, or about the machine's memory, which n_ranks share. *Local.*
void say_memory(const model::LanguageModel& lm, const model::Prefill& start, std::int64_t length,
                const Share& share, int n_ranks);
/// Logs what learning so many numbers beside them takes of the GPU, if that is where the model computes.
/// *Local.*
void say_learning_memory(const model::LanguageModel& lm, const model::Prefill& start, std::int64_t length,
                         const Share& share, std::int64_t numbers);

}  // namespace twistor::smc
