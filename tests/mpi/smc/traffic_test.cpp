// SPDX-License-Identifier: Apache-2.0
// What a step of a sweep starts on a device and carries to and from it, counted on the emulator.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <string_view>

#include "support/tabular_problem.hpp"
#include "twistor/device/choose.hpp"
#include "twistor/device/traffic.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::smc {
namespace {

std::atomic<std::int64_t> aten_operations{0};

/// Operations of ATen's that would start a kernel or a copy: not those that only look at memory otherwise.
std::unique_ptr<at::ObserverContext> count_operation(const at::RecordFunction& f) {
  constexpr std::array views{"aten::narrow", "aten::slice",     "aten::select",     "aten::view",
                             "aten::empty",  "aten::unsqueeze", "aten::from_blob",  "aten::empty_strided",
                             "aten::t",      "aten::transpose", "aten::as_strided", "aten::expand",
                             "aten::to",     "aten::_to_copy",  "aten::contiguous", "aten::empty_like",
                             "aten::item",   "aten::detach",    "aten::reshape",    "aten::clone"};
  if (std::ranges::find(views, std::string_view(f.name())) == views.end()) ++aten_operations;
  return nullptr;
}

constexpr std::int64_t particles = 16, layers = 2;

struct Counted {
  device::Traffic traffic;
  std::int64_t operations = 0, rows = 0;
};

/// Per step: the difference between a longer and a shorter sweep, neither of which resamples.
struct PerStep {
  double launches, replays, operations, up, down, up_bytes, down_bytes, rows;
};

PerStep per_step(device::GraphUse graphs) {
  const std::vector<std::int64_t> prompt{1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 2, 4, 7, 8};
  model::LoadOptions load;
  load.engine = device::make_engine(device::Place::emulated, device::KernelChoice::automatic, 0,
                                    {device::Precision::float32, graphs});
  const auto lm = model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny", load);
  const auto twist = twist::make_twist("linear", {.width = lm->feature_size(),
                                                  .vocab_size = lm->vocab_size(),
                                                  .init_scale = 3.0,
                                                  .engine = load.engine});
  const test::FlatPotential flat;
  const Problem problem = Problem{*lm, prompt, flat}.with_start();
  const Proposal proposal(*lm, *twist, ProposalKind::twisted);
  const auto count = [&](std::int64_t length) {
    SweepOptions options;
    options.particles = particles;
    options.length = length;
    options.trigger = Trigger::never;
    (void)sweep(problem, proposal, options, comm::Communicator::self());
    const device::Traffic before = device::traffic();
    aten_operations = 0;
    const at::CallbackHandle handle = at::addGlobalCallback(
        at::RecordFunctionCallback(count_operation).scopes({at::RecordScope::FUNCTION}));
    const Sweep counted = sweep(problem, proposal, options, comm::Communicator::self());
    at::removeCallback(handle);
    const device::Traffic after = device::traffic();
    return Counted{{after.up - before.up, after.up_bytes - before.up_bytes, after.down - before.down,
                    after.down_bytes - before.down_bytes, after.launches - before.launches,
                    after.replays - before.replays},
                   aten_operations.load(),
                   counted.counters.token_forwards};
  };
  const Counted shorter = count(6), longer = count(10);  // within one block of the cache
  const auto each = [&](auto number) { return static_cast<double>(number(longer) - number(shorter)) / 4; };
  return {each([](const Counted& c) { return c.traffic.launches; }),
          each([](const Counted& c) { return c.traffic.replays; }),
          each([](const Counted& c) { return c.operations; }),
          each([](const Counted& c) { return c.traffic.up; }),
          each([](const Counted& c) { return c.traffic.down; }),
          each([](const Counted& c) { return c.traffic.up_bytes; }),
          each([](const Counted& c) { return c.traffic.down_bytes; }),
          each([](const Counted& c) { return c.rows; })};
}

TEST(Traffic, OfAStep) {
  const PerStep step = per_step(device::GraphUse::off);
  // Of a layer: two norms, four products with their biases, the store of keys and values, attention,
  // activation. And the embedding, the last norm; of the heads two products, sums over blocks, two over rows,
  // the draw.
  EXPECT_EQ(step.launches, 9 * layers + 8);
  EXPECT_EQ(step.replays, 0);
  EXPECT_LE(step.operations, 23) << "of ATen's, uploads among them";
  // Sums of rows, and what was drawn: each is waited for.
  EXPECT_EQ(step.down, 2);
  EXPECT_LE(step.down_bytes, 16 * step.rows + 32 * particles);
  // Of a row its token, slot, table of two blocks and log sum; of a particle its row and uniform number.
  EXPECT_LE(step.up, 5);
  EXPECT_LE(step.up_bytes, 40 * step.rows + 16 * particles + 64);
}

TEST(Traffic, OfAStepThatWasRecorded) {
  const PerStep step = per_step(device::GraphUse::on);
  EXPECT_EQ(step.launches, 6) << "the heads'";
  EXPECT_EQ(step.replays, 1);
  EXPECT_EQ(step.down, 2);
}

}  // namespace
}  // namespace twistor::smc
