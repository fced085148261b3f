// SPDX-License-Identifier: Apache-2.0
// Low-rank additions as the folders that PEFT reads and writes: adapter_config.json and
// adapter_model.safetensors.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/trainable_decoder.hpp"

namespace twistor::model {

/// Values of body.tensors(), in their order, from an adapter that was made for the same model with the same
/// rank, scale and matrices. *Local.* Throws Error(no_input) if there is no such folder; Error(data) on a
/// damaged file, or on an adapter that does more than this project's do; Error(config) naming the keys to set
/// where rank, scale, matrices or shapes differ.
[[nodiscard]] std::vector<LearnedTensor> read_lora_adapter(const std::filesystem::path& folder,
                                                           const TrainableDecoder& body);

/// The contents of both files.
struct AdapterFiles {
  std::string config;   ///< adapter_config.json
  std::string weights;  ///< adapter_model.safetensors
};

/// `values` are those of body.tensors(), in their order. *Local.*
[[nodiscard]] AdapterFiles lora_adapter_files(const TrainableDecoder& body,
                                              std::span<const std::span<const float>> values);

}  // namespace twistor::model
