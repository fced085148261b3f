// SPDX-License-Identifier: Apache-2.0
// Steps where values, gradients and moments are tensors: what crosses between device and main memory.
#include "twistor/learn/optimizer.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "support/engines.hpp"
#include "twistor/device/traffic.hpp"
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

INSTANTIATE_TEST_SUITE_P(Engines, OptimizerOnTensors, test::every_tensor_engine);

}  // namespace
}  // namespace twistor::learn
