// SPDX-License-Identifier: Apache-2.0
// The tiny model's folder in the Hugging Face layout: config.json, model.safetensors, tokenizer.json.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "make_tiny/gpt.hpp"

namespace twistor::tiny {

/// Writes all three files, making the folder if need be. Throws Error(io) if a file cannot be written.
void write_model(const std::filesystem::path& folder, const Gpt& model,
                 const std::vector<std::string>& words);

/// Reads config.json and model.safetensors as written here, and checks that the vocabulary is `words`.
/// Throws Error(no_input) for a missing file, Error(data) for one that does not fit.
[[nodiscard]] Gpt read_model(const std::filesystem::path& folder, const std::vector<std::string>& words);

}  // namespace twistor::tiny
