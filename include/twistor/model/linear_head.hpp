// SPDX-License-Identifier: Apache-2.0
// A linear classifier over sentence embeddings, in a small safetensors file of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace twistor::model {

/// logits = W e + b.
struct LinearHead {
  std::vector<std::string> classes;  ///< (C) names, C >= 2
  std::vector<float> weight;         ///< (C, D) row-major
  std::vector<float> bias;           ///< (C)
  /// SentenceEncoder::fingerprint() of the encoder that it was made for.
  std::string encoder_fingerprint;
  /// What else the file says about itself: data, accuracy.
  std::map<std::string, std::string> notes;

  [[nodiscard]] std::int64_t width() const {
    return static_cast<std::int64_t>(weight.size() / classes.size());
  }
  /// (n, C) of embeddings (n, D), in float64.
  [[nodiscard]] std::vector<double> logits(std::span<const float> embeddings) const;
};

/// Throws Error(no_input) if the file cannot be read, Error(data) naming what is missing or does not fit.
[[nodiscard]] LinearHead read_linear_head(const std::filesystem::path& file);
/// Tensors "weight" and "bias"; classes (a JSON array), encoder and notes as metadata. Throws Error(io).
void write_linear_head(const std::filesystem::path& file, const LinearHead& head);

}  // namespace twistor::model
