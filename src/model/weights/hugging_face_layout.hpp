// SPDX-License-Identifier: Apache-2.0
// What a model that was read from a GGUF file is in Hugging Face's layout: names of tensors, the order of
// rows, and the files beside the weights. Private to the model room.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "families/families.hpp"

namespace twistor::model {

/// Names and rows. *Local*, immutable. Of a model that was read from a folder nothing changes.
class HuggingFaceLayout {
 public:
  explicit HuggingFaceLayout(const DecoderSource& source);

  /// Why there is none, for people; empty where there is one.
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  /// Throws Error(config) where there is none.
  void require(const std::string& doing) const;

  /// "model.layers.0.self_attn.q_proj.lora_A.weight" of "blk.0.attn_q.lora_A.weight".
  [[nodiscard]] std::string name_of(const std::string& ours) const;
  /// The last part of the name of a matrix: "q_proj" of "attn_q".
  [[nodiscard]] std::string target_of(const std::string& ours) const;
  /// Whether rows lie in another order.
  [[nodiscard]] bool reorders(const std::string& ours) const;
  /// Rows of the tensor `ours`, (N, k) row-major for any k, in the other layout's order. GGUF's converters
  /// put the two halves of each head of some families' queries and keys in turns.
  [[nodiscard]] std::vector<float> rows_for_folder(const std::string& ours,
                                                   std::span<const float> rows) const;
  [[nodiscard]] std::vector<float> rows_from_folder(const std::string& ours,
                                                    std::span<const float> rows) const;

 private:
  [[nodiscard]] std::vector<float> reordered(const std::string& ours, std::span<const float> rows,
                                             bool is_for_folder) const;

  bool is_gguf_ = false;
  std::string why_not_;
  std::map<std::string, std::string, std::less<>> names_;    // by "attn_q" and the like
  std::map<std::string, std::int64_t, std::less<>> turned_;  // the same: heads whose halves are in turns
  std::int64_t head_size_ = 0;
};

/// config.json of a GGUF file's model with untied float32 weights. Throws Error(config) naming what it cannot
/// say. `source` as open_decoder() gives it.
[[nodiscard]] std::string config_of_gguf(const DecoderSource& source);

/// Everything beside config.json and the weights, by name: the tokenizer's files, generation_config.json and
/// the chat template, as far as the GGUF file has them. Throws Error(config) naming a tokenizer of a kind
/// that tokenizer.json is not written for.
[[nodiscard]] std::map<std::string, std::string> files_beside_gguf(const std::filesystem::path& gguf);

}  // namespace twistor::model
