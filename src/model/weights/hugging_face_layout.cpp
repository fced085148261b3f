// SPDX-License-Identifier: Apache-2.0
// Names and rows of GGUF files as folders have them.
#include "hugging_face_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::model {
namespace {

using Pair = std::pair<const char*, const char*>;

/// Llama's relatives, whose tensors differ by names and order of rows alone.
constexpr std::array exported_families{"Granite", "Llama", "OLMo 2", "Phi-3", "Qwen2", "Qwen3", "SmolLM3"};

constexpr std::array tensor_names{
    Pair{"token_embd", "model.embed_tokens"},
    Pair{"output_norm", "model.norm"},
    Pair{"output", "lm_head"},
    Pair{"attn_norm", "input_layernorm"},
    Pair{"ffn_norm", "post_attention_layernorm"},
    Pair{"attn_q", "self_attn.q_proj"},
    Pair{"attn_k", "self_attn.k_proj"},
    Pair{"attn_v", "self_attn.v_proj"},
    Pair{"attn_qkv", "self_attn.qkv_proj"},
    Pair{"attn_output", "self_attn.o_proj"},
    Pair{"attn_q_norm", "self_attn.q_norm"},
    Pair{"attn_k_norm", "self_attn.k_norm"},
    Pair{"ffn_gate", "mlp.gate_proj"},
    Pair{"ffn_up", "mlp.up_proj"},
    Pair{"ffn_down", "mlp.down_proj"},
    Pair{"post_attention_norm", "post_attention_layernorm"},
    Pair{"post_ffw_norm", "post_feedforward_layernorm"},
};

/// "blk.0.", "attn_q" and ".weight" of blk.0.attn_q.weight.
struct NameParts {
  std::string_view layer, stem, rest;
};
NameParts parts_of(std::string_view name) {
  std::size_t begin = 0;
  if (name.starts_with("blk.")) begin = name.find('.', 4) + 1;
  const std::size_t end = std::min(name.find('.', begin), name.size());
  return {name.substr(0, begin), name.substr(begin, end - begin), name.substr(end)};
}

}  // namespace

HuggingFaceLayout::HuggingFaceLayout(const DecoderSource& source)
    : is_gguf_(source.file->path().extension() == ".gguf"), head_size_(source.traits.head_size) {
  if (!is_gguf_) return;
  const DecoderTraits& t = source.traits;
  if (std::ranges::find(exported_families, t.family) == exported_families.end()) {
    why_not_ = fmt::format("{} is a GGUF file of {}, whose weights have other shapes or values there",
                           source.file->path().string(), t.family);
    return;
  }
  for (const auto& [ours, theirs] : tensor_names) names_[ours] = theirs;
  if (t.family == "Phi-3") names_["ffn_up"] = "mlp.gate_up_proj";
  if (t.position != PositionKind::rotary_interleaved) return;
  turned_ = {{"attn_q", t.n_heads}, {"attn_k", t.n_kv_heads}};
  if (2 * static_cast<std::int64_t>(t.rotaries.front().frequencies.size()) != t.head_size)
    why_not_ = fmt::format("{} turns a part of each head only, in an order that folders do not have",
                           source.file->path().string());
}

void HuggingFaceLayout::require(const std::string& doing) const {
  TWISTOR_CHECK(why_not_.empty(), ErrorKind::config, doing, why_not_,
                "give model.path the model's folder in Hugging Face's layout");
}

std::string HuggingFaceLayout::name_of(const std::string& ours) const {
  if (!is_gguf_) return ours;
  const auto [layer, stem, rest] = parts_of(ours);
  const auto found = names_.find(stem);
  TWISTOR_ASSERT(found != names_.end(), "every tensor of a family that is exported has a name");
  const std::string number(layer.substr(std::min<std::size_t>(4, layer.size())));  // "0."
  return fmt::format("{}{}{}{}", layer.empty() ? "" : "model.layers.", number, found->second, rest);
}

std::string HuggingFaceLayout::target_of(const std::string& ours) const {
  if (!is_gguf_) return ours;
  const std::string name = name_of(ours.substr(ours.rfind('.') + 1));
  return name.substr(name.rfind('.') + 1);
}

bool HuggingFaceLayout::reorders(const std::string& ours) const {
  return turned_.contains(parts_of(ours).stem);
}

std::vector<float> HuggingFaceLayout::rows_for_folder(const std::string& ours,
                                                      std::span<const float> rows) const {
  return reordered(ours, rows, true);
}

std::vector<float> HuggingFaceLayout::rows_from_folder(const std::string& ours,
                                                       std::span<const float> rows) const {
  return reordered(ours, rows, false);
}

std::vector<float> HuggingFaceLayout::reordered(const std::string& ours, std::span<const float> rows,
                                                bool is_for_folder) const {
  std::vector<float> out(rows.begin(), rows.end());
  const auto found = turned_.find(parts_of(ours).stem);
  if (found == turned_.end()) return out;
  const std::int64_t n = found->second * head_size_, half = head_size_ / 2,
                     k = static_cast<std::int64_t>(rows.size()) / n;
  TWISTOR_ASSERT(n * k == static_cast<std::int64_t>(rows.size()), "rows of whole heads");
  for (std::int64_t row = 0; row < n; ++row) {
    const std::int64_t head = row / head_size_, in_head = row % head_size_;
    // Row (i, j) of a head lies at 2 i + j in the file and at j half + i in a folder.
    const std::int64_t folder_row = head * head_size_ + (in_head % 2) * half + in_head / 2;
    const auto from = rows.begin() + (is_for_folder ? row : folder_row) * k;
    std::copy_n(from, k, out.begin() + (is_for_folder ? folder_row : row) * k);
  }
  return out;
}

}  // namespace twistor::model
