// SPDX-License-Identifier: Apache-2.0
// Steps where values, gradients and moments are tensors: what crosses between device and main memory.
#include "twistor/learn/optimizer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <utility>

#include "support/engines.hpp"
#include "twistor/device/traffic.hpp"
#include "twistor/model/trainable_decoder.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::learn {
namespace {

class OptimizerOnTensors : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (engine == nullptr) GTEST_SKIP() << "there is none here";
    twist = twist::make_twist("mlp", {.width = 48, .vocab_size = 500, .init_scale = 1.0, .engine = engine});
  }
  /// One step of all parameters, rows 4 and 40 where a gradient comes by rows, and a refresh.
  void step(Optimizer& optimizer, std::int64_t number) {
    const std::vector<std::int64_t> rows{4, 40};
    for (std::size_t p = 0; p < twist->parameters().size(); ++p) {
      twist::Parameter& parameter = twist->parameters()[p];
      const bool has_rows = parameter.has_row_gradient;
      const auto n = static_cast<std::int64_t>(parameter.value.size());
      const std::int64_t size = has_rows ? std::ssize(rows) * parameter.width() : n;
      optimizer.update({}, number,
                       {p, has_rows ? rows : std::vector<std::int64_t>{}, engine->empty({size}).fill_(0.1)},
                       parameter);
    }
    twist->refresh();
  }
  std::shared_ptr<const device::Engine> engine = test::engine_named(GetParam());
  std::unique_ptr<twist::Trainable> twist;
};

TEST_P(OptimizerOnTensors, MovesNumbersOfRowsAlone) {
  Optimizer optimizer(comm::Communicator::world(), 1, engine);
  step(optimizer, 1);
  const device::Traffic before = device::traffic();
  for (std::int64_t number = 2; number <= 4; ++number) step(optimizer, number);
  const device::Traffic after = device::traffic();
  EXPECT_EQ(after.down, before.down);
  EXPECT_LE(after.up_bytes - before.up_bytes, 3 * 2 * 2 * 8) << "three steps of two parameters by two rows";

  const twist::Parameter& output = std::as_const(*twist).parameters()[4];
  ASSERT_EQ(output.name, "output.weight");
  const float now = output.value[0];
  EXPECT_EQ(device::traffic().down_bytes - after.down_bytes, 500 * 48 * 4) << "the test sees what moves";
  EXPECT_EQ(now, output.value.begin()[0]);
  EXPECT_EQ(device::traffic().down, after.down + 1) << "once";
}

TEST_P(OptimizerOnTensors, KeepsAllMomentsOnEveryRank) {
  Optimizer optimizer(comm::Communicator::world(), 1, engine);
  step(optimizer, 1);
  std::size_t n = 0;
  for (const twist::Parameter& p : twist->parameters()) n += p.value.size();
  EXPECT_EQ(optimizer.bytes(), 2 * n * sizeof(float));
}

/// All of a language model: what comes down after a step tells that all is finite.
TEST_P(OptimizerOnTensors, LeavesBodiesOnTheirDevice) {
  const auto path = std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny";
  for (const bool is_lora : {false, true}) {
    model::TrainableOptions options{.engine = engine};
    if (is_lora) options.lora = model::LoraOptions{2, 4, {}};
    const std::shared_ptr<model::TrainableDecoder> body = model::load_trainable_decoder(path, options);
    twist = twist::make_twist("linear", {.width = body->sampler()->hidden_size(),
                                         .vocab_size = body->sampler()->vocab_size(),
                                         .init_scale = 1.0,
                                         .engine = engine,
                                         .body = body,
                                         .prompt = {3, 5}});
    Optimizer optimizer(comm::Communicator::world(), 1, engine);
    step(optimizer, 1);
    const device::Traffic before = device::traffic();
    step(optimizer, 2);
    const device::Traffic after = device::traffic();
    EXPECT_EQ(after.down - before.down, 1) << is_lora;
    EXPECT_LE(after.down_bytes - before.down_bytes, 16 * std::ssize(body->tensors()));
    EXPECT_LE(after.up_bytes - before.up_bytes, 4 * 2 * 8) << "two rows of each of four tables";
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, OptimizerOnTensors, test::every_tensor_engine);

}  // namespace
}  // namespace twistor::learn
