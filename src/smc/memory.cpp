// SPDX-License-Identifier: Apache-2.0
// Bounds on memory, from sizes alone.
#include "twistor/smc/memory.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "twistor/base/log.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t selected = 2;  // rows, and those that are selected from them

double gb(std::int64_t bytes) {
  return static_cast<double>(bytes) * 1e-9;
}

}  // namespace

ParticleBytes particle_bytes(const model::LanguageModel& lm, const model::Prefill& start, std::int64_t length,
                             std::int64_t n_scores, bool travels) {
  const model::CacheUse use = start.cache->use();
  const std::int64_t block_bytes = use.live_blocks == 0 ? 0 : use.live_bytes / use.live_blocks;
  // The block that the prompt ends in is copied by all who go on in it.
  const std::int64_t blocks = (length + model::block_tokens - 1) / model::block_tokens + 1;
  const std::int64_t columns =
      (lm.vocab_size() + device::score_block - 1) / device::score_block * device::score_block;
  const ParticleBytes all{(travels ? 2 : 1) * blocks * block_bytes,
                          selected * n_scores * columns * std::int64_t{sizeof(float)},
                          selected * ((lm.hidden_size() + lm.feature_size()) * std::int64_t{sizeof(float)} +
                                      columns / device::score_block * std::int64_t{sizeof(double)})};
  const std::int64_t at_once = lm.engine()->score_rows();
  return at_once == 0 ? all : all.with_score_rows(at_once);
}

ParticleBytes ParticleBytes::with_score_rows(std::int64_t rows) const {
  ParticleBytes out = *this;
  out.scores = 0;
  out.together = rows * scores / selected;  // nothing is selected from them
  return out;
}

MemoryNotice memory_notice(const ParticleBytes& each, std::int64_t particles,
                           const device::DeviceMemory& memory) {
  constexpr std::int64_t few_rows = 256;  // enough for a product to be fast
  const std::int64_t fitting = each.fitting(memory.free_bytes);
  std::string text = fmt::format(
      "memory of the GPU: {:.2f} of {:.2f} GB are free; {} particles on this rank take {:.2f} GB at the most "
      "(each {:.2f} MB of keys and values, {:.2f} MB of scores)",
      gb(memory.free_bytes), gb(memory.total_bytes), particles, gb(each.of(particles)), gb(each.cache) * 1e3,
      gb(each.scores) * 1e3);
  if (particles <= fitting) return {false, std::move(text)};
  text += fmt::format("; {} surely fit", fitting);
  if (each.scores > 0)
    text += fmt::format(", and {} with smc.particles_at_once = {}",
                        each.with_score_rows(few_rows).fitting(memory.free_bytes), few_rows);
  return {true, std::move(text)};
}

MemoryNotice learning_notice(const ParticleBytes& each, std::int64_t particles, std::int64_t numbers,
                             const device::DeviceMemory& memory) {
  constexpr std::int64_t copies = 3;  // gradient and two moments
  const std::int64_t bytes = copies * numbers * std::int64_t{sizeof(float)},
                     fitting = each.fitting(std::max<std::int64_t>(0, memory.free_bytes - bytes));
  return {particles > fitting,
          fmt::format("memory of the GPU: learning takes another {:.2f} GB, for the gradient and two moments "
                      "of {} numbers; beside it {} particles surely fit",
                      gb(bytes), numbers, fitting)};
}

std::string main_memory_warning(const ParticleBytes& each, std::int64_t particles, const MainMemory& memory) {
  const std::int64_t bytes = each.cache + each.states;
  if (particles <= memory.free_bytes / bytes) return {};
  return fmt::format(
      "memory: {:.2f} of {:.2f} GB are free, and {} particles take up to {:.2f} GB of keys and values; those "
      "that share a prefix share them, so with resampling it may be far less; {} surely fit",
      gb(memory.free_bytes), gb(memory.total_bytes), particles, gb(particles * bytes),
      memory.free_bytes / bytes);
}

void say_memory(const model::LanguageModel& lm, const model::Prefill& start, std::int64_t length,
                const Share& share, int n_ranks) {
  const ParticleBytes each = particle_bytes(lm, start, length, 2, share.travels);
  if (const auto memory = device::memory_of(lm.engine()->device())) {
    const MemoryNotice notice = memory_notice(each, share.particles, *memory);
    (notice.is_warning ? log_warning : log_info)(notice.text);
  } else if (const auto main = main_memory()) {
    const std::string warning = main_memory_warning(each, n_ranks * share.particles, *main);
    if (!warning.empty()) log_warning(warning);
  }
}

void say_learning_memory(const model::LanguageModel& lm, const model::Prefill& start, std::int64_t length,
                         const Share& share, std::int64_t numbers) {
  const auto memory = device::memory_of(lm.engine()->device());
  if (!memory) return;
  const MemoryNotice notice =
      learning_notice(particle_bytes(lm, start, length, 2, share.travels), share.particles, numbers, *memory);
  (notice.is_warning ? log_warning : log_info)(notice.text);
}

}  // namespace twistor::smc
