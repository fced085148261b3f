// SPDX-License-Identifier: Apache-2.0
// The decoder's promise that a row's bits depend on its tokens alone, and what it refuses.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <omp.h>

#include "support/decoder_golden.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/kv_cache.hpp"
#include "twistor/model/load.hpp"

namespace twistor::model {
namespace {

using test::all_logits;
using test::golden_folder;
using test::same_bits;

class DecoderCache : public testing::TestWithParam<std::tuple<const char*, device::Precision>> {
 protected:
  std::unique_ptr<LanguageModel> lm =
      load_language_model(golden_folder / std::get<0>(GetParam()), {std::get<1>(GetParam()), {}});
};

// Random forks, prunings and migrations; at every step each sequence must have the bits of a fresh uncached
// pass.
TEST_P(DecoderCache, CachedEqualsUncachedAfterAnyHistory) {
  Philox random(7, Stream::test, 0, 0);
  const std::vector<std::int64_t> prompt{5, 17, 3, 60, 22};
  auto cache = lm->make_cache(1);
  lm->forward(prompt, *cache);
  std::vector<std::vector<std::int64_t>> texts{prompt};
  for (int step = 0; step < 40; ++step) {
    std::vector<std::int64_t> parents(1 + random.below(9));
    for (auto& parent : parents) parent = static_cast<std::int64_t>(random.below(texts.size()));
    cache->select(parents);
    std::vector<std::vector<std::int64_t>> next;
    for (const std::int64_t parent : parents) next.push_back(texts[static_cast<std::size_t>(parent)]);
    if (step % 5 == 4) {  // one sequence leaves and comes back by the way that other ranks use
      const std::int64_t keep_blocks = static_cast<std::int64_t>(
          random.below(static_cast<std::uint64_t>(cache->length() / block_tokens + 1)));
      const auto bytes = cache->export_sequence(0, keep_blocks);
      const std::vector<std::int64_t> donors(static_cast<std::size_t>(keep_blocks), 0);
      EXPECT_EQ(cache->import_sequence(donors, keep_blocks, bytes), static_cast<std::int64_t>(next.size()));
      next.push_back(next[0]);
    }
    std::vector<std::int64_t> tokens;
    for (auto& text : next) {
      text.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(lm->vocab_size()))));
      tokens.push_back(text.back());
    }
    texts = next;
    const at::Tensor hidden = lm->forward(tokens, *cache);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto fresh = lm->make_cache(1);
      const at::Tensor expected = lm->forward(texts[i], *fresh);
      ASSERT_TRUE(same_bits(hidden[static_cast<std::int64_t>(i)][0],
                            expected[0][static_cast<std::int64_t>(texts[i].size()) - 1]))
          << "sequence " << i << " at step " << step;
    }
  }
}

TEST_P(DecoderCache, LogitsOfARowDoNotDependOnBatchOrThreads) {
  const at::Tensor hidden = at::randn({64, lm->hidden_size()});
  const at::Tensor all = all_logits(*lm, hidden);
  const int threads = omp_get_max_threads();
  for (const int n_threads : {1, 2, 3}) {
    omp_set_num_threads(n_threads);
    for (const std::int64_t n : {1, 2, 11, 12, 13, 31, 64})
      EXPECT_TRUE(
          same_bits(all_logits(*lm, hidden.slice(0, 64 - n, 64).contiguous()), all.slice(0, 64 - n, 64)))
          << n;
  }
  omp_set_num_threads(threads);
}

INSTANTIATE_TEST_SUITE_P(
    Models, DecoderCache,
    testing::Combine(testing::Values("gemma2", "gpt2", "gpt_neo", "gpt_neox", "gpt_neox_serial", "llama",
                                     "llama3", "mistral", "qwen2", "qwen2_tied", "gemma3", "granite", "olmo2",
                                     "phi3", "qwen3", "smollm3"),
                     testing::Values(device::Precision::float32, device::Precision::bfloat16)),
    [](const auto& test) {
      return std::string(std::get<0>(test.param)) +
             (std::get<1>(test.param) == device::Precision::float32 ? "_f32" : "_bf16");
    });

TEST(Decoder, ForkSharesBlocksAndCopiesOnlyAPartlyFilledOne) {
  const auto lm = load_language_model(golden_folder / "gpt2");
  auto cache = lm->make_cache(1);
  lm->forward(std::vector<std::int64_t>(20, 1), *cache);  // one full block and one of 4 tokens
  cache->select(std::vector<std::int64_t>(10, 0));
  EXPECT_EQ(cache->use().live_blocks, 2);
  EXPECT_EQ(cache->use().dense_blocks, 20);
  lm->forward(std::vector<std::int64_t>(10, 2), *cache);
  EXPECT_EQ(cache->use().live_blocks, 11);   // the full block once, the last one for each
  EXPECT_EQ(cache->use().copied_blocks, 9);  // the tenth writes where it stands
}

TEST(Decoder, BfloatIsCloseToFloat) {
  for (const char* model : {"gpt2", "gpt_neo", "gpt_neox", "llama3", "mistral", "qwen2", "gemma2"}) {
    const auto f32 = load_language_model(golden_folder / model),
               bf16 = load_language_model(golden_folder / model, {device::Precision::bfloat16, {}});
    const test::DecoderGolden g(golden_folder / model / "golden.safetensors");
    const std::int64_t n = g.ids.size(0), length = g.ids.size(1);
    auto a = f32->make_cache(n), b = bf16->make_cache(n);
    const at::Tensor p = at::log_softmax(all_logits(*f32, test::forward_ids(*f32, g.ids, 0, length, *a)), 2);
    const at::Tensor q =
        at::log_softmax(all_logits(*bf16, test::forward_ids(*bf16, g.ids, 0, length, *b)), 2);
    const at::Tensor kl = (q.exp() * (q - p)).sum(2);  // KL(bf16 || f32) of 96 contexts
    // The largest seen is 5.4e-4, before Gemma 2 joined.
    EXPECT_LT(kl.max().item<double>(), 2e-3) << model;
    EXPECT_GT(kl.max().item<double>(), 1e-7) << model;
  }
}

TEST(Decoder, RefusesBadInput) {
  const auto lm = load_language_model(golden_folder / "gpt2");
  auto cache = lm->make_cache(1);
  EXPECT_THROW(lm->forward(std::vector<std::int64_t>{64}, *cache), Error);
  EXPECT_THROW(lm->forward(std::vector<std::int64_t>(65, 0), *cache), Error);
  EXPECT_THROW((void)load_language_model(golden_folder / "no_such_model"), Error);
}

TEST(Decoder, ScoresAreSharedMappingsWhenAsked) {
  std::vector<std::byte> memory;
  int published = 0;
  WeightMemory shared{[&](std::size_t bytes) {
                        memory.resize(bytes + 64);
                        return memory.data() +
                               (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
                      },
                      true, [&] { ++published; }};
  const auto writer = load_language_model(golden_folder / "gpt2", {device::Precision::float32, shared});
  shared.is_writer = false;
  shared.allocate = [&](std::size_t) {
    return memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  };
  const auto reader = load_language_model(golden_folder / "gpt2", {device::Precision::float32, shared});
  EXPECT_EQ(published, 2);
  auto a = writer->make_cache(1), b = reader->make_cache(1);
  const std::vector<std::int64_t> ids{1, 9, 30};
  EXPECT_TRUE(same_bits(writer->forward(ids, *a), reader->forward(ids, *b)));
}

}  // namespace
}  // namespace twistor::model
