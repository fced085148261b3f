// SPDX-License-Identifier: Apache-2.0
// The sweep gives the same bits on every number of ranks and under every grouping: each rank repeats the
// whole population alone and compares.
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "support/pmpi_count.hpp"
#include "support/random_model.hpp"
#include "support/tabular_problem.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/load.hpp"

namespace twistor::smc {
namespace {

/// A deterministic twist on any float32 model: a few directions of the hidden state. Small and rough enough
/// to resample.
class HiddenTwist final : public twist::Twist {
 public:
  explicit HiddenTwist(std::int64_t V) : v_(V) {}
  std::int64_t vocab_size() const override { return v_; }
  at::Tensor features(const at::Tensor& hidden) const override { return hidden; }
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override {
    for (std::int64_t r = 0; r < features.size(0); ++r)
      for (std::int64_t v = v_begin; v < v_end; ++v)
        out.mutable_data_ptr<float>()[r * out.stride(0) + v - v_begin] =
            0.8f * features.const_data_ptr<float>()[r * features.stride(0) + v % features.size(1)];
  }
  std::string form() const override { return "hidden"; }

 private:
  std::int64_t v_;
};

struct Case {
  const char* model;  // below the source folder; empty: the tabular model
  device::Precision precision;
};

/// A model with prompt, twist and potential; 24 tokens on real decoders, so that blocks fill and travel.
struct Stage {
  explicit Stage(const Case& c) {
    if (*c.model == '\0') {
      lm = &tabular.lm;
      prompt = tabular.prompt;
      twist = &tabular.rough_twist;
      length = test::TabularProblem::T;
      return;
    }
    // A vocabulary of three tiles, for the paths that small models do not reach.
    const auto folder = std::string_view(c.model) == "wide"
                            ? test::make_random_gpt2(folder_of_wide.path() / "wide", 5000, 32, 2, 4, 64)
                            : std::filesystem::path(TWISTOR_SOURCE_DIR) / c.model;
    owned = model::load_language_model(folder, {c.precision, {}});
    lm = owned.get();
    prompt = {3, 7, 11, 4, 9, 2, 8, 5, 6, 12, 10};
    hidden_twist = std::make_unique<HiddenTwist>(lm->vocab_size());
    twist = hidden_twist.get();
    length = 24;
  }
  test::TemporaryFolder folder_of_wide;
  test::TabularProblem tabular;
  std::unique_ptr<model::LanguageModel> owned;
  std::unique_ptr<HiddenTwist> hidden_twist;
  const model::LanguageModel* lm = nullptr;
  const twist::Twist* twist = nullptr;
  test::Tokens prompt;
  std::int64_t length = 0;
  [[nodiscard]] Problem problem() const { return {*lm, prompt, tabular.potential}; }
};

/// All particles in order of ids, from all ranks of comm.
struct Everything {
  std::vector<std::int64_t> ids, tokens;
  std::vector<double> log_q, log_w;
};
Everything gather(const Sweep& s, const comm::Communicator& comm) {
  const auto ids = comm::all_gather(std::span<const std::int64_t>(s.particles.ids), comm);
  const auto tokens = comm::all_gather(std::span<const std::int64_t>(s.particles.tokens), comm);
  const auto log_q = comm::all_gather(std::span<const double>(s.particles.log_q), comm);
  const auto log_w = comm::all_gather(std::span<const double>(s.particles.log_w), comm);
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return ids[a] < ids[b]; });
  Everything all;
  const auto T = static_cast<std::size_t>(s.particles.T);
  for (const std::size_t i : order) {
    all.ids.push_back(ids[i]);
    all.log_w.push_back(log_w[i]);
    for (std::size_t t = 0; t < T; ++t) {
      all.tokens.push_back(tokens[i * T + t]);
      all.log_q.push_back(log_q[i * T + t]);
    }
  }
  return all;
}

bool same_bits(double a, double b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

void expect_same(const Sweep& many, const comm::Communicator& comm, const Sweep& one,
                 const comm::Communicator& of_one = comm::Communicator::self()) {
  const Everything a = gather(many, comm), b = gather(one, of_one);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_TRUE(std::equal(a.log_q.begin(), a.log_q.end(), b.log_q.begin(), b.log_q.end(), same_bits));
  EXPECT_TRUE(std::equal(a.log_w.begin(), a.log_w.end(), b.log_w.begin(), b.log_w.end(), same_bits));
  EXPECT_TRUE(same_bits(many.log_z, one.log_z)) << many.log_z << " " << one.log_z;
  EXPECT_EQ(many.unique_ancestors, one.unique_ancestors);
  EXPECT_EQ(many.pinned_id, one.pinned_id);
  EXPECT_EQ(many.n_founders, one.n_founders);
}

class SameBits : public testing::TestWithParam<std::tuple<Case, SchemeKind>> {};

TEST_P(SameBits, OnEveryNumberOfRanksAndUnderGroups) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const Stage stage(std::get<0>(GetParam()));
  SweepOptions o{.particles = 13,  // divides by nothing
                 .length = stage.length,
                 .scheme = std::get<1>(GetParam()),
                 .seed = 17};
  // Uneven groups; both sample the same population, so both must agree with one rank.
  const comm::Communicator group = world.split(world.rank() % 3 == 0 ? 0 : 1);
  std::int64_t n_resamplings = 0;
  for (const Trigger trigger : {Trigger::every_step, Trigger::ess}) {
    for (const Order order : {Order::resample_first, Order::draw_first}) {
      o.trigger = trigger;
      o.order = order;
      const Proposal proposal(*stage.lm, *stage.twist, ProposalKind::twisted);
      const Sweep one = sweep(stage.problem(), proposal, o, self);
      n_resamplings += one.counters.resamplings;
      ASSERT_EQ(one.unique_ancestors.size(), one.ess.size());
      EXPECT_LE(std::ranges::count_if(one.unique_ancestors, [&](std::int64_t n) { return n < o.particles; }),
                one.counters.resamplings);
      expect_same(sweep(stage.problem(), proposal, o, world), world, one);
      expect_same(sweep(stage.problem(), proposal, o, group), group, one);
      const std::vector<std::int64_t> path(one.particles.tokens.begin(),
                                           one.particles.tokens.begin() + o.length);
      expect_same(sweep(stage.problem(), proposal, o, world, path), world,
                  sweep(stage.problem(), proposal, o, self, path));
    }
  }
  EXPECT_GT(n_resamplings, 0) << "the test would show nothing";
}

constexpr Case cases[] = {{"", device::Precision::float32},
                          {"models/tiny", device::Precision::float32},
                          {"models/tiny", device::Precision::bfloat16},
                          {"tests/golden/llama", device::Precision::float32},
                          {"wide", device::Precision::float32}};
std::string case_name(const testing::TestParamInfo<std::tuple<Case, SchemeKind>>& test) {
  const Case& c = std::get<0>(test.param);
  const std::string path = c.model;
  const std::string model = path.empty()              ? "tabular"
                            : path == "wide"          ? path
                            : path.ends_with("llama") ? "llama"
                                                      : "tiny";
  return model + (c.precision == device::Precision::float32 ? "_f32_" : "_bf16_") +
         std::string(twistor::name_of(std::get<1>(test.param)));
}
INSTANTIATE_TEST_SUITE_P(All, SameBits,
                         testing::Combine(testing::ValuesIn(cases),
                                          testing::Values(SchemeKind::multinomial, SchemeKind::stratified,
                                                          SchemeKind::systematic, SchemeKind::residual)),
                         case_name);

// Islands lie whole on ranks, so what they do by themselves does not depend on how many ranks there are.
TEST(SameBitsOfIslands, OnEveryNumberOfRanksAndUnderGroups) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const comm::Communicator group = world.split(world.rank() % 3 == 0 ? 0 : 1);
  std::int64_t n_alone = 0, n_together = 0;
  for (const Case& c :
       {Case{"", device::Precision::float32}, Case{"models/tiny", device::Precision::float32}}) {
    const Stage stage(c);
    const Proposal proposal(*stage.lm, *stage.twist, ProposalKind::twisted);
    SweepOptions o{.particles = 13, .length = stage.length, .ess_threshold = 0.6, .seed = 17};
    for (const std::int64_t islands : {2, 5, 13}) {  // fewer than ranks, too
      for (const Trigger trigger : {Trigger::every_step, Trigger::ess}) {
        for (const Order order : {Order::resample_first, Order::draw_first}) {
          o.islands = islands;
          o.trigger = trigger;
          o.order = order;
          const Sweep one = sweep(stage.problem(), proposal, o, self);
          n_alone += one.counters.island_resamplings;
          n_together += one.counters.resamplings;
          expect_same(sweep(stage.problem(), proposal, o, world), world, one);
          expect_same(sweep(stage.problem(), proposal, o, group), group, one);
          const std::vector<std::int64_t> path(one.particles.tokens.begin(),
                                               one.particles.tokens.begin() + o.length);
          expect_same(sweep(stage.problem(), proposal, o, world, path), world,
                      sweep(stage.problem(), proposal, o, self, path));
        }
      }
    }
  }
  EXPECT_GT(n_alone, 50) << "the test would show nothing";
  EXPECT_GT(n_together, 50) << "the test would show nothing";
}

// By the record: an effective sample size below the threshold leads to a resampling, and no other does. The
// first weights of all particles are equal, and the last are those that are reported.
TEST(Trigger, ResamplesWhereTheEffectiveSampleIsTooSmallAndNowhereElse) {
  const comm::Communicator self = comm::Communicator::self();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  std::int64_t n_small = 0, n_large = 0;
  for (const Order order : {Order::resample_first, Order::draw_first}) {
    for (const double threshold : {0.3, 0.6, 0.9}) {
      for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        SweepOptions o = tabular.sweep_options(12);
        o.trigger = Trigger::ess;
        o.ess_threshold = threshold;
        o.order = order;
        o.seed = seed;
        const Sweep s = sweep(tabular.problem(), proposal, o, self);
        const std::ptrdiff_t first = order == Order::resample_first ? 1 : 0;
        const auto n = std::count_if(s.ess.begin() + first, s.ess.end() - 1,
                                     [&](double ess) { return ess < threshold * 12; });
        EXPECT_EQ(s.counters.resamplings, n) << threshold << ", seed " << seed;
        n_small += n;
        n_large += static_cast<std::int64_t>(s.ess.size()) - 1 - first - n;
      }
    }
  }
  EXPECT_GT(n_small, 20) << "the test would show nothing";
  EXPECT_GT(n_large, 20) << "the test would show nothing";
}

// The cache that resamplings, exchanges and forks leave behind gives the logits of a fresh pass, to the last
// bit.
TEST(Exchange, CacheAfterTheSweepEqualsAFreshPass) {
  const comm::Communicator world = comm::Communicator::world();
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    const Stage stage({"models/tiny", precision});
    const Proposal proposal(*stage.lm, *stage.twist, ProposalKind::twisted);
    const SweepOptions o{.particles = 16, .length = 30, .seed = 3};
    const Sweep s = sweep(stage.problem(), proposal, o, world);
    // The cache stands before the last token.
    for (std::int64_t i = 0; i < s.particles.size(); ++i) {
      test::Tokens text = stage.prompt;
      const auto begin = s.particles.tokens.begin() + i * o.length;
      text.insert(text.end(), begin, begin + o.length - 1);
      auto fresh = stage.lm->make_cache(1);
      const at::Tensor expected =
          stage.lm->forward(text, *fresh)[0][static_cast<std::int64_t>(text.size()) - 1];
      const at::Tensor kept = s.particles.hidden[s.particles.node[static_cast<std::size_t>(i)]];
      EXPECT_TRUE(at::equal(kept, expected)) << "particle " << i;
    }
  }
}

// Scores travel with the particles, so no row is scored again where it arrives.
TEST(Exchange, HeadsSeeEveryForwardPassOnce) {
  const comm::Communicator world = comm::Communicator::world();
  const Stage stage({"models/tiny", device::Precision::float32});
  const Proposal proposal(*stage.lm, *stage.twist, ProposalKind::twisted);
  SweepOptions o;
  o.particles = 16;
  o.length = 24;
  for (const Order order : {Order::resample_first, Order::draw_first}) {
    o.order = order;
    const Sweep s = sweep(stage.problem(), proposal, o, world);
    EXPECT_EQ(s.counters.rows_scored - 1,  // the prompt's last row
              s.counters.token_forwards - static_cast<std::int64_t>(stage.prompt.size()));
    EXPECT_EQ(comm::all_reduce_max(s.counters.moved_copies, world) > 0, world.size() > 1);
  }
}

TEST(Sweeps, ShareAPromptThatWasReadBefore) {
  const comm::Communicator world = comm::Communicator::world();
  for (const char* model : {"", "models/tiny", "tests/golden/llama"}) {
    const Stage stage({model, device::Precision::float32});
    const Proposal proposal(*stage.lm, *stage.twist, ProposalKind::twisted);
    const Problem ready = stage.problem().with_start();
    SweepOptions o;
    o.particles = 13;
    o.length = stage.length;
    for (o.seed = 1; o.seed < 4; ++o.seed) {
      const Sweep alone = sweep(stage.problem(), proposal, o, world),
                  shared = sweep(ready, proposal, o, world);
      expect_same(shared, world, alone, world);
      EXPECT_EQ(alone.counters.token_forwards - shared.counters.token_forwards,
                static_cast<std::int64_t>(stage.prompt.size()));
    }
  }
}

// G4: one reduction of at most 64 bytes in a step without resampling; with resampling three collectives at
// most.
TEST(Communication, StepsNeedNoMoreCollectivesThanPromised) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  SweepOptions o = tabular.sweep_options(12);
  const auto count = [&](Trigger trigger) {
    o.trigger = trigger;
    pmpi::reset();
    const Sweep s = sweep(tabular.problem(), proposal, o, world);
    const std::int64_t n = pmpi::read().collectives();
    return std::pair(n, comm::all_reduce_max(s.counters.resamplings, world));
  };
  // At the end of a sweep come one more reduction, the gather for the genealogical variance and its
  // broadcast.
  const std::int64_t without = count(Trigger::never).first;
  EXPECT_EQ(without, o.length + 3);
  const auto [with, resamplings] = count(Trigger::every_step);
  EXPECT_EQ(resamplings, o.length - 1);
  EXPECT_EQ(with - without, resamplings) << "a gather each";
}

/// What the first rank tells the others in that sweep: for each resampling and rank 72 bytes of numbers and
/// sizes, 16 for each of its particles, and 16 for each copy that it sends or receives.
std::int64_t told_bytes(const Problem& problem, const Proposal& proposal, const SweepOptions& options) {
  SweepOptions with_ancestors = options;
  with_ancestors.keep_ancestors = true;
  const comm::Communicator world = comm::Communicator::world();
  const Sweep s = sweep(problem, proposal, with_ancestors, comm::Communicator::self());
  Layout layout = Layout::blocks(options.particles, world.size());
  std::int64_t n = 0;
  for (const Resampling& one : s.resamplings) {
    Placement placement = plan(one.ancestor_of_id, layout);
    for (const Copy& copy : placement.copies) n += 16 * ((copy.from != 0 ? 1 : 0) + (copy.to != 0 ? 1 : 0));
    n += 16 * (options.particles - layout.size_of(0)) + 72 * (world.size() - 1);
    layout = std::move(placement.after);
  }
  return n;
}

// What a rank gives in a sweep, to the byte: 64 bytes for each reduction of the weights, its log weights (8
// bytes a particle) for each resampling and once at the end; all else is the exchange of particles, and on
// the first rank what it tells the others.
TEST(Communication, BytesAndCallsOfASweepAreExact) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  SweepOptions o = tabular.sweep_options(12);
  for (const Trigger trigger : {Trigger::never, Trigger::every_step}) {
    o.trigger = trigger;
    const Problem problem = tabular.problem().with_start();
    pmpi::reset();
    const Sweep s = sweep(problem, proposal, o, world);
    const pmpi::Counts counts = pmpi::read();
    const std::int64_t n_resamplings = trigger == Trigger::never ? 0 : o.length - 1;
    const pmpi::CallCount reductions = counts.of("MPI_Allreduce");
    EXPECT_EQ(reductions.calls, o.length + 1);
    EXPECT_EQ(reductions.bytes, 64 * (o.length + 1));
    const pmpi::CallCount gathers = counts.of("MPI_Gatherv"), messages = counts.of("MPI_Isend");
    EXPECT_EQ(gathers.calls, n_resamplings + 1);
    EXPECT_EQ(gathers.bytes, 8 * s.particles.size() * (n_resamplings + 1));
    const bool is_first = world.rank() == 0;
    EXPECT_EQ(messages.calls, s.counters.sent_messages + (is_first ? n_resamplings * (world.size() - 1) : 0));
    EXPECT_EQ(messages.bytes, s.counters.sent_bytes + (is_first ? told_bytes(problem, proposal, o) : 0));
    EXPECT_EQ(counts.of("MPI_Bcast").calls, 1);
    EXPECT_EQ(counts.collectives(), reductions.calls + gathers.calls + 1);
  }
}

}  // namespace
}  // namespace twistor::smc
