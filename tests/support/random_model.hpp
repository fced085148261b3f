// SPDX-License-Identifier: Apache-2.0
// Writes a GPT-2 with random weights as a Hugging Face folder, for benchmarks and tests that need a
// model of a given size.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/format/safetensors_writer.hpp"

namespace twistor::test {
namespace detail {

struct RandomTensor {
  format::TensorShape tensor;
  float mean = 0;  // of all entries
  float sd = 0;    // 0: all entries are the mean

  [[nodiscard]] std::int64_t size() const {
    return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
  }
};

/// The tensors of a GPT-2 in the order of its file: matrices N(0, sd^2), gains 1, biases 0.
inline std::vector<RandomTensor> gpt2_tensors(std::int64_t V, std::int64_t D, std::int64_t layers,
                                              std::int64_t context, float sd) {
  std::vector<RandomTensor> out;
  const auto norm = [&](const std::string& name) {
    out.push_back({{name + ".weight", {D}}, 1, 0});
    out.push_back({{name + ".bias", {D}}});
  };
  const auto matrix = [&](const std::string& name, std::int64_t n_in, std::int64_t n_out) {
    out.push_back({{name + ".weight", {n_in, n_out}}, 0, sd});
    out.push_back({{name + ".bias", {n_out}}});
  };
  out.push_back({{"transformer.wte.weight", {V, D}}, 0, sd});
  out.push_back({{"transformer.wpe.weight", {context, D}}, 0, sd});
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = fmt::format("transformer.h.{}.", layer);
    norm(prefix + "ln_1");
    matrix(prefix + "attn.c_attn", D, 3 * D);
    matrix(prefix + "attn.c_proj", D, D);
    norm(prefix + "ln_2");
    matrix(prefix + "mlp.c_fc", D, 4 * D);
    matrix(prefix + "mlp.c_proj", 4 * D, D);
  }
  norm("transformer.ln_f");
  return out;
}

inline std::string gpt2_config(std::int64_t V, std::int64_t D, std::int64_t layers, std::int64_t heads,
                               std::int64_t context) {
  return fmt::format(
      R"({{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
 "vocab_size": {}, "n_positions": {}, "n_embd": {}, "n_layer": {}, "n_head": {}, "n_inner": null,
 "layer_norm_epsilon": 1e-05, "tie_word_embeddings": true, "torch_dtype": "float32"}}
)",
      V, context, D, layers, heads);
}

inline void write_tensors(std::ofstream& file, std::span<const RandomTensor> tensors) {
  std::vector<float> row;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const RandomTensor& t = tensors[i];
    const std::int64_t width = t.tensor.shape.back();
    for (std::int64_t r = 0; r < t.size() / width; ++r) {
      row.assign(static_cast<std::size_t>(width), t.mean);
      Philox random(1, Stream::model_init, static_cast<std::uint32_t>(i), static_cast<std::uint64_t>(r));
      if (t.sd > 0)
        for (float& x : row) x += t.sd * static_cast<float>(random.normal());
      file.write(reinterpret_cast<const char*>(row.data()),
                 static_cast<std::streamsize>(row.size() * sizeof(float)));
    }
  }
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The tensors of BERT-base, or of DeBERTa-v3 with its sizes.
inline std::vector<RandomTensor> bert_base_tensors(bool is_deberta = false) {
  constexpr std::int64_t d = 768, inner = 4 * d, n_layers = 12;
  constexpr float sd = 0.02F;
  std::vector<RandomTensor> out;
  for (const auto& [name, rows] : {std::pair{"word", 30522}, {"position", 512}, {"token_type", 2}})
    if (!is_deberta || rows > 512)
      out.push_back({{fmt::format("embeddings.{}_embeddings.weight", name), {rows, d}}, 0, sd});
  const auto norm = [&](const std::string& name) {
    out.push_back({{name + ".weight", {d}}, 1, 0});
    out.push_back({{name + ".bias", {d}}});
  };
  const auto linear = [&](const std::string& name, std::int64_t n_out, std::int64_t n_in) {
    out.push_back({{name + ".weight", {n_out, n_in}}, 0, sd});
    out.push_back({{name + ".bias", {n_out}}});
  };
  norm("embeddings.LayerNorm");
  if (is_deberta) {
    out.push_back({{"encoder.rel_embeddings.weight", {512, d}}, 0, sd});
    norm("encoder.LayerNorm");
  }
  for (std::int64_t layer = 0; layer < n_layers; ++layer) {
    const std::string prefix = fmt::format("encoder.layer.{}.", layer);
    for (const char* part : {"query", "key", "value"})
      linear(prefix + "attention.self." + part + (is_deberta ? "_proj" : ""), d, d);
    linear(prefix + "attention.output.dense", d, d);
    norm(prefix + "attention.output.LayerNorm");
    linear(prefix + "intermediate.dense", inner, d);
    linear(prefix + "output.dense", d, inner);
    norm(prefix + "output.LayerNorm");
  }
  return out;
}

/// Makes the folder unless it holds that model already.
inline std::filesystem::path make_model(const std::filesystem::path& folder, const std::string& config,
                                        std::span<const RandomTensor> tensors) {
  if (std::filesystem::exists(folder / "model.safetensors") &&
      detail::read_text(folder / "config.json") == config)
    return folder;
  // Made under another name first: a killed run leaves no half-written model behind.
  std::filesystem::path partial = folder;
  partial += fmt::format(".{}.partial", ::getpid());
  std::filesystem::create_directories(partial);
  std::ofstream(partial / "config.json", std::ios::binary) << config;
  std::ofstream file(partial / "model.safetensors", std::ios::binary);
  std::vector<format::TensorShape> shapes;
  for (const detail::RandomTensor& t : tensors) shapes.push_back(t.tensor);
  const std::string header = format::safetensors_header(shapes);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  detail::write_tensors(file, tensors);
  file.close();
  TWISTOR_CHECK(file.good(), ErrorKind::io, "making the random model " + folder.string(), "writing failed",
                "make room in that folder");
  std::filesystem::remove_all(folder);
  std::filesystem::rename(partial, folder);
  return folder;
}

}  // namespace detail

/// Makes `folder` with config.json and model.safetensors (float32, the same bits on every call) unless it
/// holds a model of that size already, and returns it. sd: of its matrices; that of GPT-2 hardly mixes
/// tokens. On several ranks let one call it and the others wait. *Local.* Throws Error(io).
inline std::filesystem::path make_random_gpt2(const std::filesystem::path& folder, std::int64_t V,
                                              std::int64_t D, std::int64_t layers, std::int64_t heads,
                                              std::int64_t context, float sd = 0.02F) {
  return detail::make_model(folder, detail::gpt2_config(V, D, layers, heads, context),
                            detail::gpt2_tensors(V, D, layers, context, sd));
}

/// The same with an encoder of BERT-base's sizes.
inline std::filesystem::path make_random_bert_base(const std::filesystem::path& folder) {
  return detail::make_model(folder,
                            R"({"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu",
 "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
 "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}
)",
                            detail::bert_base_tensors());
}

/// The same with the attention of DeBERTa-v3, or with the convolution of the larger models of DeBERTa-v2 too.
inline std::filesystem::path make_random_deberta_base(const std::filesystem::path& folder,
                                                      bool has_convolution = false) {
  std::vector<detail::RandomTensor> tensors = detail::bert_base_tensors(true);
  if (has_convolution) {
    constexpr std::int64_t d = 768;
    tensors.push_back({{"encoder.conv.conv.weight", {d, d, 3}}, 0, 0.02F});
    tensors.push_back({{"encoder.conv.conv.bias", {d}}});
    tensors.push_back({{"encoder.conv.LayerNorm.weight", {d}}, 1, 0});
    tensors.push_back({{"encoder.conv.LayerNorm.bias", {d}}});
  }
  const std::string convolution = has_convolution ? R"("conv_kernel_size": 3, "conv_act": "gelu", )" : "";
  return detail::make_model(
      folder,
      R"({"architectures": ["DebertaV2Model"], "model_type": "deberta-v2",
 )" + convolution +
          R"("hidden_act": "gelu", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
 "intermediate_size": 3072, "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 0,
 "relative_attention": true, "position_buckets": 256, "pos_att_type": "p2c|c2p", "share_att_key": true,
 "norm_rel_ebd": "layer_norm", "position_biased_input": false}
)",
      tensors);
}

}  // namespace twistor::test
