// SPDX-License-Identifier: Apache-2.0
// Opens a language model from the files people have.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "twistor/device/engine.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// Where packed weights of the CPU engine go. Several ranks of a node can give one shared mapping: then one
/// of them fills it and the others wait; the default keeps the weights in private memory.
struct WeightMemory {
  /// Returns 64-byte aligned memory that outlives the model. Called once, by every rank alike; never where
  /// the engine keeps weights by itself.
  std::function<std::byte*(std::size_t bytes)> allocate;
  /// Whether this rank writes the weights.
  bool is_writer = true;
  /// Called after allocate, when the writer is done; afterwards every rank may read.
  std::function<void()> publish;
};

struct LoadOptions {
  device::Precision precision = device::Precision::float32;
  WeightMemory memory;  ///< empty functions: private memory
  /// Keeps the weights and computes; nullptr: cpu_engine().
  std::shared_ptr<const device::Engine> engine = nullptr;
  /// Folder of a PEFT adapter whose additions go into the matrices; empty: none.
  std::filesystem::path adapter{};
  /// Makes the precision part of the fingerprint, so that two of one model are two in a JoinedModel.
  bool is_precision_told = false;
  /// The most tokens that a text may have; 0: as many as the positions hold that the model was first trained
  /// with. More than that are for LongRoPE alone, whose long factors turn all positions of all texts then.
  std::int64_t context = 0;
  [[nodiscard]] std::shared_ptr<const device::Engine> used_engine() const {
    return engine != nullptr ? engine->for_precision(precision) : device::cpu_engine();
  }
};

/// Reads a Hugging Face folder (config.json + safetensors) or a .gguf file. *Local*, or collective over the
/// ranks that share options.memory. Throws Error(no_input), or Error(data) naming file, key or tensor, what
/// was expected and found; a family that is not known is refused by name, with the list of those that are.
/// Error(config) where options.context is more than the positions hold. Adapters are refused as
/// read_lora_adapter() refuses them, for a .gguf file with Error(config).
[[nodiscard]] std::unique_ptr<LanguageModel> load_language_model(const std::filesystem::path& path,
                                                                 const LoadOptions& options = {});

}  // namespace twistor::model
