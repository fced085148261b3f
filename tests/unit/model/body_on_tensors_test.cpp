// SPDX-License-Identifier: Apache-2.0
// Bodies whose values are tensors of an engine: the sampler and the gradients follow as those of the CPU's
// do.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "support/body_golden.hpp"
#include "support/engines.hpp"
#include "twistor/device/traffic.hpp"
#include "twistor/model/trainable_decoder.hpp"

namespace twistor::model {
namespace {

/// A body and the tensors that it views.
struct Body {
  Body(const std::string& model, TrainableOptions options, std::shared_ptr<const device::Engine> of)
      : engine(std::move(of)) {
    options.engine = engine;
    decoder = load_trainable_decoder(test::golden_folder / model, options);
    learned = decoder->tensors();
    for (const LearnedTensor& t : learned) values.push_back(engine->upload(t.value).view(t.shape));
    decoder->set_values(values);
  }

  /// Adds to all, in place, as an optimiser would.
  void change(float by) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::vector<float> added;
      for (std::int64_t j = 0; j < values[i].numel(); ++j)
        added.push_back(by * std::sin(static_cast<float>(j + 1)));
      values[i].add_(engine->upload(added).view(values[i].sizes()));
    }
  }

  /// Hidden states of some steps of three sequences, of which the later ones are replays where passes are
  /// recorded.
  [[nodiscard]] std::vector<float> states() const {
    std::vector<float> out;
    const auto sampler = decoder->sampler();
    const auto cache = sampler->make_cache(3);
    for (std::int64_t t = 0; t < 4; ++t) {
      const std::vector<float> step =
          device::to_host(sampler->forward(std::vector<std::int64_t>{3 + t, 1, 4 * t}, *cache));
      out.insert(out.end(), step.begin(), step.end());
    }
    return out;
  }

  [[nodiscard]] std::vector<std::vector<float>> gradients() const {
    const test::BodyTexts texts(std::vector<std::int64_t>{3, 1, 4, 1, 5},
                                {9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2});
    std::vector<std::vector<float>> out;
    const at::Tensor on = test::on_hidden(decoder->hidden(texts.view()).to(at::kCPU)).to(engine->device());
    decoder->gradient(texts.view(), on,
                      [&](std::size_t, const std::vector<std::int64_t>&, const at::Tensor& gradient) {
                        out.push_back(device::to_host(gradient));
                      });
    return out;
  }

  std::shared_ptr<const device::Engine> engine;
  std::unique_ptr<TrainableDecoder> decoder;
  std::vector<LearnedTensor> learned;
  std::vector<at::Tensor> values;
};

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double square = 0, of_b = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    square += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    of_b += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(square / (of_b + 1e-30));
}

class BodyOnTensors : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(BodyOnTensors, FollowsAsThatOfTheCpuDoes) {
  const auto& [name, model] = GetParam();
  const std::shared_ptr<const device::Engine> engine = test::engine_named(name);
  if (engine == nullptr) GTEST_SKIP() << "there is none here";
  for (const bool is_lora : {false, true}) {
    TrainableOptions options;
    if (is_lora) options.lora = LoraOptions{2, 4, {}};
    Body tensors(model, options, engine), plain(model, options, device::cpu_engine());
    const std::vector<float> first = tensors.states();
    EXPECT_LT(distance(first, plain.states()), 1e-5);
    for (const float by : {0.05F, -0.02F}) {
      tensors.change(by);
      plain.change(by);
      const device::Traffic before = device::traffic();
      tensors.decoder->set_values(tensors.values);
      const device::Traffic after = device::traffic();
      EXPECT_EQ(after.up, before.up) << "values are on the device";
      EXPECT_LE(after.down_bytes - before.down_bytes, 16 * std::ssize(tensors.values)) << "and stay there";
      plain.decoder->set_values(plain.values);
      const std::vector<float> now = tensors.states();
      EXPECT_GT(distance(now, first), 1e-3);
      EXPECT_LT(distance(now, plain.states()), 1e-5) << is_lora << by;
      const bool is_replayed = device::traffic().replays > after.replays;
      EXPECT_TRUE(is_replayed || std::string(name) != "recorded");
      const auto ours = tensors.gradients(), theirs = plain.gradients();
      ASSERT_EQ(ours.size(), theirs.size());
      for (std::size_t i = 0; i < ours.size(); ++i)
        EXPECT_LT(distance(ours[i], theirs[i]), 1e-3) << tensors.learned[i].name;
    }
  }
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<const char*, const char*>>& test) {
  return std::string(std::get<0>(test.param)) + "_" + std::get<1>(test.param);
}

/// Transposed matrices and biases; stacks and gates; offsets of norms; norms of heads; pieces of one matrix.
INSTANTIATE_TEST_SUITE_P(Engines, BodyOnTensors,
                         testing::Combine(test::every_tensor_engine,
                                          testing::Values("gpt2", "llama", "gemma2", "qwen3", "gpt_neox")),
                         name_of_case);
/// Those whose heads are of a size that our kernels attend with.
INSTANTIATE_TEST_SUITE_P(Recorded, BodyOnTensors,
                         testing::Combine(testing::Values("recorded"),
                                          testing::Values("gpt2", "llama", "gpt_neox")),
                         name_of_case);

}  // namespace
}  // namespace twistor::model
