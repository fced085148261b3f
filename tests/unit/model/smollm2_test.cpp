// SPDX-License-Identifier: Apache-2.0
// SmolLM2-135M-Instruct, where the cache holds it: the probabilities of a fixed text against a reference that
// expands the same weights to float32, and how far bfloat16 goes from them.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "support/decoder_golden.hpp"
#include "twistor/model/load.hpp"

namespace twistor::model {
namespace {

namespace fs = std::filesystem;

fs::path smollm2() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  const fs::path folder =
      cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache/twistor";
  return folder / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
}

class SmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(smollm2())) GTEST_SKIP() << "launch/get_model.sh smollm2 fetches it";
    const auto golden = nlohmann::json::parse(test::read_file(test::golden_folder / "smollm2/golden.json"));
    ids = golden.at("ids").get<std::vector<std::int64_t>>();
    expected = golden.at("log_probs").get<std::vector<double>>();
    perplexity = golden.at("perplexity");
  }
  /// Hidden states of all tokens but the last, (L - 1, D).
  [[nodiscard]] at::Tensor hidden_of(const LanguageModel& lm) const {
    auto cache = lm.make_cache(1);
    return lm.forward({ids.data(), ids.size() - 1}, *cache)[0];
  }
  std::vector<std::int64_t> ids;
  std::vector<double> expected;
  double perplexity = 0;
};

TEST_F(SmolLM2, PerplexityIsThatOfTheReference) {
  const auto lm = load_language_model(smollm2());
  const std::vector<double> log_p = score(*lm, ids);
  ASSERT_EQ(log_p.size(), expected.size());
  const double mean = std::accumulate(log_p.begin(), log_p.end(), 0.0) / static_cast<double>(log_p.size());
  EXPECT_NEAR(std::exp(-mean) / perplexity, 1.0, 0.005);
  // The same weights in float32 on both sides: only the order of sums differs.
  for (std::size_t i = 0; i < log_p.size(); ++i) EXPECT_NEAR(log_p[i], expected[i], 2e-3) << i;
}

TEST_F(SmolLM2, BfloatStaysCloseToFloat) {
  const auto f32 = load_language_model(smollm2()),
             bf16 = load_language_model(smollm2(), {device::Precision::bfloat16, {}});
  const at::Tensor a = hidden_of(*f32), b = hidden_of(*bf16);
  const std::int64_t n = a.size(0);
  ASSERT_GE(n, 1000);
  double total = 0, worst = 0;
  for (std::int64_t begin = 0; begin < n; begin += 100) {
    const std::int64_t end = std::min(n, begin + 100);
    const at::Tensor p = at::log_softmax(test::all_logits(*f32, a.slice(0, begin, end)).to(at::kDouble), 1),
                     q = at::log_softmax(test::all_logits(*bf16, b.slice(0, begin, end)).to(at::kDouble), 1);
    const at::Tensor kl = (q.exp() * (q - p)).sum(1);  // KL(bf16 || f32) of each context
    total += kl.sum().item<double>();
    worst = std::max(worst, kl.max().item<double>());
  }
  RecordProperty("mean_kl", std::to_string(total / static_cast<double>(n)));
  RecordProperty("worst_kl", std::to_string(worst));
  // Measured: 1.4e-4 on average, 1e-3 at most.
  EXPECT_LT(total / static_cast<double>(n), 5e-4);
  EXPECT_LT(worst, 5e-3);
}

}  // namespace
}  // namespace twistor::model
