// SPDX-License-Identifier: Apache-2.0
// A real model of 260,000 parameters, stories260K in the format of llama2.c: its weights go through our GGUF
// reader and give the published probabilities. Skipped where the file is not beside the repository.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>
#include <string>

#include "support/decoder_golden.hpp"
#include "support/gguf_bytes.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/log_prob.hpp"

namespace twistor::model {
namespace {

const std::filesystem::path stories =
    std::filesystem::path(TWISTOR_SOURCE_DIR) / "../shared/models/stories260K/stories260K.bin";

/// Seven int32, then float32 arrays: all layers of one kind together. Q and K are for interleaved pairs, as
/// in GGUF.
std::string as_gguf(const std::string& bin) {
  std::array<std::int32_t, 7> header{};
  std::memcpy(header.data(), bin.data(), sizeof header);
  const auto [dim, inner, n_layers, n_heads, n_kv_heads, vocabulary, context] = header;
  test::GgufBytes gguf;
  gguf.string("general.architecture", "llama");
  const auto number = [&](const char* key, std::int32_t value) {
    gguf.u32(key, static_cast<std::uint32_t>(value));
  };
  number("llama.embedding_length", dim);
  number("llama.feed_forward_length", inner);
  number("llama.block_count", n_layers);
  number("llama.attention.head_count", n_heads);
  number("llama.attention.head_count_kv", n_kv_heads);
  number("llama.context_length", context);
  gguf.value("llama.attention.layer_norm_rms_epsilon", 6, 1e-5f);
  const auto d = static_cast<std::uint64_t>(dim), f = static_cast<std::uint64_t>(inner),
             kv = d / static_cast<std::uint64_t>(n_heads) * static_cast<std::uint64_t>(n_kv_heads);
  std::size_t at = sizeof header;
  const auto take = [&](const std::string& name, const std::vector<std::uint64_t>& dimensions) {
    const std::uint64_t numel =
        std::accumulate(dimensions.begin(), dimensions.end(), std::uint64_t{1}, std::multiplies<>());
    gguf.tensor(name, 0, dimensions, std::string_view(bin).substr(at, 4 * numel));
    at += 4 * numel;
  };
  const auto take_layers = [&](const char* name, const std::vector<std::uint64_t>& dimensions) {
    for (std::int32_t layer = 0; layer < n_layers; ++layer)
      take("blk." + std::to_string(layer) + "." + name + ".weight", dimensions);
  };
  take("token_embd.weight", {d, static_cast<std::uint64_t>(vocabulary)});  // positive: the head is tied to it
  take_layers("attn_norm", {d});
  take_layers("attn_q", {d, d});
  take_layers("attn_k", {d, kv});
  take_layers("attn_v", {d, kv});
  take_layers("attn_output", {d, d});
  take_layers("ffn_norm", {d});
  take_layers("ffn_gate", {d, f});
  take_layers("ffn_down", {f, d});
  take_layers("ffn_up", {d, f});
  take("output_norm.weight", {d});
  return gguf.build();
}

TEST(Stories260K, GivesThePublishedProbabilities) {
  if (!std::filesystem::exists(stories)) GTEST_SKIP() << stories << " is not there";
  const test::TemporaryFolder folder;
  const auto lm = load_language_model(folder.write("stories.gguf", as_gguf(test::read_file(stories))));
  ASSERT_EQ(lm->vocab_size(), 512);
  // "<s> Once upon a time, there was a"
  const std::vector<std::int64_t> text{1, 403, 407, 261, 378, 432, 383, 286, 261};
  const std::vector<double> log_p = score(*lm, text);
  EXPECT_NEAR(std::accumulate(log_p.begin(), log_p.end(), 0.0), -0.39096, 2e-5);
  auto cache = lm->make_cache(1);
  const at::Tensor last = lm->forward(text, *cache)[0].slice(0, 8, 9);
  const std::vector<double> next = log_prob_rows(*lm, last);
  const std::map<std::size_t, double> published{
      {376, -0.49398}, {370, -2.60687}, {268, -2.71825}, {280, -3.50669}};
  for (const auto& [token, expected] : published) EXPECT_NEAR(next[token], expected, 2e-5) << token;
}

}  // namespace
}  // namespace twistor::model
