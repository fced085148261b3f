// SPDX-License-Identifier: Apache-2.0
// Passes that are padded, recorded and replayed have the bits of passes that are not.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "support/engines.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/traffic.hpp"
#include "twistor/model/load.hpp"

namespace twistor::model {
namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

std::unique_ptr<LanguageModel> load(device::Place place, const std::string& family, device::GraphUse graphs,
                                    device::Precision precision) {
  LoadOptions options;
  options.precision = precision;
  options.engine = device::make_engine(place, device::KernelChoice::automatic, 0, {precision, graphs});
  return load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / family, options);
}

/// Hidden states of a few steps after a prompt, over caches that fork, shrink and grow past a block's end;
/// twice, with a cache of its own each time.
std::vector<at::Tensor> steps(const LanguageModel& lm) {
  std::vector<at::Tensor> out;
  for (const std::uint64_t round : {0, 1}) {
    Philox random(3, Stream::test, 0, round);
    const auto token = [&] {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(lm.vocab_size())));
    };
    const auto cache = lm.make_cache(1);
    std::vector<std::int64_t> prompt(13);
    for (std::int64_t& t : prompt) t = token();
    out.push_back(lm.forward(prompt, *cache));
    std::int64_t n = 1;
    for (const std::int64_t next : {5, 9, 3, 7, 11}) {
      std::vector<std::int64_t> parents, tokens;
      for (std::int64_t i = 0; i < next; ++i) {
        parents.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n))));
        tokens.push_back(token());
      }
      n = next;
      cache->select(parents);
      out.push_back(lm.forward(tokens, *cache));
    }
  }
  return out;
}

class RecordedPasses : public testing::TestWithParam<const char*> {};

TEST_P(RecordedPasses, HaveTheBitsOfOthers) {
  const auto load = [&](device::GraphUse graphs, device::Precision precision) {
    return model::load(device::Place::emulated, GetParam(), graphs, precision);
  };
  // In one precision each: emulation is slow.
  for (const device::Precision precision :
       {std::string(GetParam()) == "models/tiny" ? device::Precision::float32
                                                 : device::Precision::bfloat16}) {
    const auto plain = load(device::GraphUse::off, precision),
               recorded = load(device::GraphUse::on, precision);
    const std::int64_t before = device::traffic().replays;
    const std::vector<at::Tensor> wanted = steps(*plain);
    EXPECT_EQ(device::traffic().replays, before) << "nothing is recorded where that is off";
    const std::vector<at::Tensor> got = steps(*recorded);
    EXPECT_GE(device::traffic().replays, before + 4) << "most steps are replays";
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(same_bits(got[i], wanted[i])) << i;
  }
}

/// On a GPU the bits of a product depend on how many rows it has, so on padding.
TEST_P(RecordedPasses, AreCloseToOthersOn_cuda) {
  if (test::cuda_engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  for (const device::Precision precision : {device::Precision::float32, device::Precision::bfloat16}) {
    const auto plain = load(device::Place::cuda, GetParam(), device::GraphUse::off, precision),
               recorded = load(device::Place::cuda, GetParam(), device::GraphUse::on, precision);
    const std::int64_t before = device::traffic().replays;
    const std::vector<at::Tensor> wanted = steps(*plain), got = steps(*recorded);
    EXPECT_GE(device::traffic().replays, before + 4);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::vector<float> a = device::to_host(got[i]), b = device::to_host(wanted[i]);
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t j = 0; j < a.size(); ++j)
        ASSERT_NEAR(a[j], b[j], precision == device::Precision::float32 ? 1e-4 : 0.05) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, RecordedPasses,
                         testing::Values("models/tiny", "tests/golden/llama", "tests/golden/gpt_neox",
                                         "tests/golden/qwen2"),
                         [](const auto& test) {
                           return std::filesystem::path(test.param).filename().string();
                         });

}  // namespace
}  // namespace twistor::model
