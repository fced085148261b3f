// SPDX-License-Identifier: Apache-2.0
// A twist's own body out of files and into files.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/trainable_decoder.hpp"
#include "twistor/twist/options.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

/// Both are empty for a twist without a body.
struct OwnBody {
  std::shared_ptr<model::TrainableDecoder> decoder;
  std::vector<model::LearnedTensor> adapter;  ///< what low-rank additions start from; empty: as they are made
  /// Its hidden states; nullptr without a body.
  [[nodiscard]] std::shared_ptr<const model::LanguageModel> sampler() const {
    return decoder != nullptr ? decoder->sampler() : nullptr;
  }
};

/// The body that the options ask for, made of the language model in `model`; `adapter` is the folder that
/// options.adapter names, if it names one. *Local.* Throws what load_trainable_decoder() and
/// read_lora_adapter() throw.
[[nodiscard]] OwnBody load_body(const FormOptions& options, const std::filesystem::path& model,
                                const std::filesystem::path& adapter, model::TrainableOptions how);

/// "twist's body: ..., N M weights to learn".
[[nodiscard]] std::string describe(const FormOptions& options, const model::TrainableDecoder& body);

/// Gives the parameters of the twist's body those values, by name.
void start_from(std::span<const model::LearnedTensor> adapter, Trainable& twist);

/// What the twist's body has learned, for other programs, one file after the other atomically: low-rank
/// additions as an adapter for PEFT in `output`/adapter; a copy that is a language model by itself (psi =
/// q / p0) as a folder in Hugging Face's layout, `output`/model. *Local.* Nothing is written if there are no
/// such files of this body: none (nullptr), a copy beneath a head, or one that model::why_not_written()
/// speaks of. Throws Error(io).
void write_body(const std::filesystem::path& output, const model::TrainableDecoder* body,
                const Trainable& twist);

}  // namespace twistor::twist
