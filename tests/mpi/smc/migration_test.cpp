// SPDX-License-Identifier: Apache-2.0
// Particles of models on a device change rank as tensors, and nobody can tell.
#include <gmock/gmock.h>

#include <filesystem>
#include <utility>

#include "comm/staged_collectives.hpp"
#include "support/engines.hpp"
#include "support/tabular_problem.hpp"
#include "twistor/base/counters.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/tensor_collectives.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::smc {
namespace {

std::shared_ptr<const model::LanguageModel> golden(const char* name,
                                                   const std::shared_ptr<const device::Engine>& engine) {
  model::LoadOptions options;
  options.engine = engine;
  return model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden" / name,
                                    options);
}

class Migrants : public testing::TestWithParam<const char*> {};

TEST_P(Migrants, AreTheSameAsTensorsAndAsBytes) {
  const auto engine = test::engine_named(GetParam());
  if (engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  // Two members, whose blocks have different sizes.
  const model::JoinedModel lm({golden("gpt2", engine), golden("phi3", engine)});
  const auto twist = twist::make_twist("linear", {.width = lm.feature_size(),
                                                  .vocab_size = lm.vocab_size(),
                                                  .init_scale = 3.0,
                                                  .seed = 4,
                                                  .engine = engine});
  const std::vector<std::int64_t> prompt{1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 2, 4};
  const test::FlatPotential flat;
  const Problem problem = Problem{lm, prompt, flat}.with_start();
  const Proposal proposal(lm, *twist, ProposalKind::twisted, 0.7);
  SweepOptions options;
  options.particles = 24;
  options.length = std::string_view(GetParam()) == "aten" ? 22 : 6;  // with blocks that are full, or partly
  options.trigger = Trigger::every_step;
  options.seed = 17;

  const auto plain = comm::Communicator::world();
  const Sweep wanted = sweep(problem, proposal, options, plain);
  const auto expect_same = [&](std::shared_ptr<comm::TensorCollectives> way) {
    SCOPED_TRACE(way->name());
    auto carried = comm::Communicator::world();
    carried.carry_tensors_by(std::move(way));
    const Sweep got = sweep(problem, proposal, options, carried);
    EXPECT_EQ(got.particles.ids, wanted.particles.ids);
    EXPECT_EQ(got.particles.tokens, wanted.particles.tokens);
    EXPECT_EQ(got.particles.log_p0, wanted.particles.log_p0);
    EXPECT_EQ(got.particles.log_psi, wanted.particles.log_psi);
    EXPECT_EQ(got.log_z, wanted.log_z);
    const std::int64_t moved = comm::all_reduce_sum(got.counters.moved_copies, plain);
    if (plain.size() > 1) {
      EXPECT_GT(moved, 10);
    }
    // Headers and lengths aside, the same bytes went.
    const std::int64_t bytes = comm::all_reduce_sum(got.counters.sent_bytes, plain),
                       as_bytes = comm::all_reduce_sum(wanted.counters.sent_bytes, plain);
    EXPECT_EQ(bytes, as_bytes);
  };
  expect_same(comm::make_tensor_collectives(plain, engine->device()));
  expect_same(comm::make_staged_collectives(plain, engine->device()));
}

INSTANTIATE_TEST_SUITE_P(Engines, Migrants, test::every_tensor_engine);

}  // namespace
}  // namespace twistor::smc
