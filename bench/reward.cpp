// SPDX-License-Identifier: Apache-2.0
// A reward model on texts: the share of the rate of its products, which is measured in the same run.
//
// usage: bench_reward [TEXTS [TOKENS [LAYERS]]]    default: 64 texts of 64 tokens, 8 layers as SmolLM2-135M's
#include <fmt/core.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/format/safetensors_writer.hpp"
#include "twistor/model/reward_model.hpp"

namespace {

using namespace twistor;

constexpr int repeats = 7;
constexpr std::int64_t vocabulary = 48, width = 576, heads = 9, kv_heads = 3, head_size = 64, inner = 1536;

struct Shape {
  std::int64_t n, k;
};
/// Of the matrices of a layer as they are multiplied.
constexpr std::array layer_products{Shape{(heads + 2 * kv_heads) * head_size, width},
                                    Shape{width, heads* head_size}, Shape{2 * inner, width},
                                    Shape{width, inner}};

/// A LlamaForSequenceClassification with random weights and the tokenizer of models/tiny.
std::filesystem::path make_model(std::int64_t layers) {
  const std::filesystem::path folder =
      bench::scratch_folder() / fmt::format("twistor-bench-reward-{}", layers);
  if (std::filesystem::exists(folder / "model.safetensors")) return folder;
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(TWISTOR_SOURCE_DIR "/models/tiny/tokenizer.json", folder / "tokenizer.json",
                             std::filesystem::copy_options::overwrite_existing);
  std::ofstream(folder / "config.json") << fmt::format(
      R"({{"model_type": "llama", "architectures": ["LlamaForSequenceClassification"], "vocab_size": {}, "hidden_size": {},
"num_hidden_layers": {}, "num_attention_heads": {}, "num_key_value_heads": {}, "head_dim": {}, "intermediate_size": {},
"max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "num_labels": 1}})",
      vocabulary, width, layers, heads, kv_heads, head_size, inner);
  std::vector<format::TensorShape> shapes{{"score.weight", {1, width}},
                                          {"model.norm.weight", {width}},
                                          {"model.embed_tokens.weight", {vocabulary, width}}};
  for (std::int64_t i = 0; i < layers; ++i) {
    const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
      shapes.push_back({fmt::format("model.layers.{}.{}.weight", i, name), std::move(shape)});
    };
    add("input_layernorm", {width});
    add("post_attention_layernorm", {width});
    add("self_attn.q_proj", {heads * head_size, width});
    add("self_attn.k_proj", {kv_heads * head_size, width});
    add("self_attn.v_proj", {kv_heads * head_size, width});
    add("self_attn.o_proj", {width, heads * head_size});
    add("mlp.gate_proj", {inner, width});
    add("mlp.up_proj", {inner, width});
    add("mlp.down_proj", {width, inner});
  }
  std::vector<std::vector<float>> values;
  std::vector<format::TensorValues> tensors;
  Philox random(1, Stream::test, 0, 0);
  for (const format::TensorShape& shape : shapes) {
    std::int64_t n = 1;
    for (const std::int64_t size : shape.shape) n *= size;
    std::vector<float>& of = values.emplace_back(static_cast<std::size_t>(n), 1.0F);
    if (shape.shape.size() > 1)
      for (float& value : of) value = static_cast<float>(0.04 * (random.uniform() - 0.5));
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) tensors.push_back({shapes[i], values[i]});
  std::ofstream(folder / "model.safetensors", std::ios::binary) << format::safetensors_bytes(tensors);
  return folder;
}

/// So many words of the tokenizer each, a token a word; no two texts alike.
std::vector<std::string> some_texts(std::int64_t n, std::int64_t length) {
  constexpr std::array<const char*, 4> words{"once", "fox", "hen", "ate"};
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < n; ++i) {
    std::string text;
    for (const std::int64_t id : bench::some_tokens(length, words.size(), static_cast<std::uint64_t>(i)))
      text += std::string(text.empty() ? "" : " ") + words[static_cast<std::size_t>(id)];
    texts.push_back(text);
  }
  return texts;
}

void run(int argc, char** argv) {
  const std::int64_t n = argc > 1 ? std::stoll(argv[1]) : 64, length = argc > 2 ? std::stoll(argv[2]) : 64,
                     layers = argc > 3 ? std::stoll(argv[3]) : 8;
  fmt::print("{} texts of {} tokens, {} layers, {} threads; goal: share of the products' rate >= 0.6\n", n,
             length, layers, omp_get_max_threads());
  fmt::print("{:<10}{:>12}{:>12}{:>14}{:>18}{:>8}\n", "dtype", "texts/s", "ms", "products ms",
             "products GFLOP/s", "share");
  const std::vector<std::string> texts = some_texts(n, length);
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    model::LoadOptions options;
    options.precision = precision;
    const model::RewardModel reward(make_model(layers), options);
    const double time_s = bench::best_time(repeats, [&] { (void)reward.logits(texts); });
    double products_s = 0, flops = 0;
    const std::int64_t rows = n * length;
    for (const Shape shape : layer_products) {
      device::PackedBuffer w(shape.n, shape.k, precision);
      w.matrix().pack_rows(0, std::vector<float>(static_cast<std::size_t>(shape.n * shape.k), 0.5F));
      const std::vector<float> x(static_cast<std::size_t>(rows * shape.k), 0.5F);
      std::vector<float> y(static_cast<std::size_t>(rows * shape.n));
      products_s += static_cast<double>(layers) *
                    bench::best_time(repeats, [&] { device::multiply(x, rows, w.matrix(), y); });
      flops += static_cast<double>(layers) * 2.0 * static_cast<double>(rows * shape.n * shape.k);
    }
    fmt::print("{:<10}{:>12.0f}{:>12.2f}{:>14.2f}{:>18.0f}{:>8.2f}  {}\n", name_of(precision),
               static_cast<double>(n) / time_s, 1e3 * time_s, 1e3 * products_s, 1e-9 * flops / products_s,
               products_s / time_s, bench::goal(products_s / time_s >= 0.6));
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
