// SPDX-License-Identifier: Apache-2.0
// How many particles a device has room for, said before a run begins.
#pragma once

#include <cstdint>
#include <string>

#include "twistor/device/memory.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/prefill.hpp"

namespace twistor::smc {

/// Bytes of one particle of a sweep on a device, at the most: no two share a block or a row.
struct ParticleBytes {
  std::int64_t cache = 0;   ///< keys and values
  std::int64_t scores = 0;  ///< rows of the vocabulary, and what is selected from them
  std::int64_t states = 0;  ///< hidden states and features
  [[nodiscard]] std::int64_t all() const { return cache + scores + states; }
  /// Particles that surely fit into so many bytes.
  [[nodiscard]] std::int64_t fitting(std::int64_t bytes) const { return bytes / all(); }
};

/// `start` has the prompt; length: tokens to come; n_scores: models and twists that score the vocabulary.
[[nodiscard]] ParticleBytes particle_bytes(const model::LanguageModel& lm, const model::Prefill& start,
                                           std::int64_t length, std::int64_t n_scores);

struct MemoryNotice {
  bool is_warning = false;  ///< the particles may not fit
  std::string text;         ///< for people
};

/// Of this rank's `particles`, with the model's weights in place. *Local.*
[[nodiscard]] MemoryNotice memory_notice(const ParticleBytes& each, std::int64_t particles,
                                         const device::DeviceMemory& memory);

/// Logs the notice where the model computes on a GPU: `particles` of this rank score the vocabulary by the
/// model and a twist. *Local.*
void say_memory(const model::LanguageModel& lm, const model::Prefill& start, std::int64_t length,
                std::int64_t particles);

}  // namespace twistor::smc
