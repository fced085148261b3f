// SPDX-License-Identifier: Apache-2.0
// A body whose weights were all learned, as a folder that transformers and this program load.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "twistor/model/trainable_decoder.hpp"

namespace twistor::model {

/// Writes config.json, model.safetensors (float32) and the tokenizer's files of the model that `body` was
/// made of, with `values`, those of body.tensors() in their order, one file after the other atomically. The
/// output matrix is not learned: where the model shares it with the embedding, the folder has both
/// (tie_word_embeddings = false). Of a GGUF file they are made from its metadata. *Local.* Throws Error(io);
/// Error(config) naming what of a GGUF file has no form in a folder.
void write_model_folder(const std::filesystem::path& folder, const TrainableDecoder& body,
                        std::span<const std::span<const float>> values);

/// Why neither write_model_folder() nor lora_adapter_files() can write what this body learns, for people;
/// empty where they can. *Local.*
[[nodiscard]] std::string why_not_written(const TrainableDecoder& body);

}  // namespace twistor::model
