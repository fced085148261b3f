// SPDX-License-Identifier: Apache-2.0
// A joined pair of models behaves as its first member, to the last bit, in sweeps over ranks and forced
// passes; and the second member's hidden states come along.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "support/random_model.hpp"
#include "support/tabular_problem.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::smc {
namespace {

enum class Kind { tabular, tiny, golden };
constexpr std::int64_t end_token = 1;

/// First and second model, a twist on the first one's hidden state, and a problem for each model.
struct Pair {
  explicit Pair(Kind kind) {
    const std::filesystem::path source(TWISTOR_SOURCE_DIR);
    if (kind == Kind::tabular) {
      const auto table = std::make_shared<model::TabularModel>(tabular.lm);
      first = table;
      second = std::make_shared<model::TabularModel>(model::TabularModel::random(4, 5, 99, 0.7));
      prompt = tabular.prompt;
      twist = std::make_unique<test::TableTwist>(
          *table, 1, [](const test::Tokens& prefix) { return 1.2 * test::rough(prefix, 9); });
      return;
    }
    first = model::load_language_model(source / (kind == Kind::tiny ? "models/tiny" : "tests/golden/llama"));
    second = model::load_language_model(
        kind == Kind::tiny ? test::make_random_gpt2(folder.path() / "random", 48, 32, 2, 2, 64)
                           : source / "tests/golden/gpt2");
    prompt = {3, 7, 11, 4, 9, 2, 8, 5, 6, 12, 10};
    length = 24;  // blocks fill and travel
    twist = std::make_unique<twist::HeadTwist>(
        "mlp",
        twist::TwistOptions{
            .width = first->hidden_size(), .vocab_size = first->vocab_size(), .init_scale = 1.0, .seed = 5});
  }
  test::TemporaryFolder folder;
  test::TabularProblem tabular;
  std::shared_ptr<const model::LanguageModel> first, second;
  std::unique_ptr<twist::Twist> twist;
  test::Tokens prompt;
  std::int64_t length = test::TabularProblem::T;

  [[nodiscard]] Problem with(const model::LanguageModel& lm) const { return {lm, prompt, tabular.potential}; }
};

void expect_same(const Sweep& a, const Sweep& b) {
  EXPECT_EQ(a.particles.ids, b.particles.ids);
  EXPECT_EQ(a.particles.tokens, b.particles.tokens);
  EXPECT_EQ(a.particles.log_p0, b.particles.log_p0);
  EXPECT_EQ(a.particles.log_q, b.particles.log_q);
  EXPECT_EQ(a.particles.log_psi, b.particles.log_psi);
  EXPECT_EQ(a.particles.log_w, b.particles.log_w);
  EXPECT_EQ(a.log_z, b.log_z);
  EXPECT_EQ(a.unique_ancestors, b.unique_ancestors);
  EXPECT_EQ(a.counters.token_forwards, b.counters.token_forwards);
  EXPECT_EQ(a.counters.moved_copies, b.counters.moved_copies);
}

/// The hidden row of every particle holds what each member says of its text.
void expect_members_hidden(const Pair& pair, const model::JoinedModel& joined, const Sweep& s) {
  for (std::int64_t i = 0; i < s.particles.size(); ++i) {
    test::Tokens text = pair.prompt;
    const auto begin = s.particles.tokens.begin() + i * pair.length;
    text.insert(text.end(), begin, begin + pair.length - 1);  // the cache stands before the last token
    const at::Tensor row = s.particles.hidden[s.particles.node[static_cast<std::size_t>(i)]];
    for (std::size_t m = 0; m < 2; ++m) {
      const model::LanguageModel& member = m == 0 ? *pair.first : *pair.second;
      const auto cache = member.make_cache(1);
      const at::Tensor own = member.forward(text, *cache)[0][static_cast<std::int64_t>(text.size()) - 1];
      EXPECT_TRUE(row.narrow(0, joined.columns(m).begin, joined.columns(m).size).equal(own))
          << "particle " << i << ", member " << m;
    }
  }
}

class JoinedPair : public testing::TestWithParam<Kind> {
 protected:
  JoinedPair() {
    o.particles = 13;
    o.length = pair.length;
    o.seed = 17;
  }
  Pair pair{GetParam()};
  model::JoinedModel joined{{pair.first, pair.second}};
  SweepOptions o;
  comm::Communicator world = comm::Communicator::world();
};

TEST_P(JoinedPair, SweepsAsItsFirstMember) {
  std::int64_t n_moved = 0;
  for (const ProposalKind kind : {ProposalKind::twisted, ProposalKind::tempered, ProposalKind::base}) {
    for (const Order order : {Order::resample_first, Order::draw_first}) {
      o.order = order;
      const Proposal of_pair(joined, *pair.twist, kind, 0.5), of_first(*pair.first, *pair.twist, kind, 0.5);
      const Sweep together = sweep(pair.with(joined), of_pair, o, world);
      expect_same(together, sweep(pair.with(*pair.first), of_first, o, world));
      expect_members_hidden(pair, joined, together);
      n_moved += comm::all_reduce_sum(together.counters.moved_copies, world);
      const test::Tokens path(static_cast<std::size_t>(pair.length), 2);
      expect_same(sweep(pair.with(joined), of_pair, o, world, path),
                  sweep(pair.with(*pair.first), of_first, o, world, path));
    }
  }
  EXPECT_EQ(n_moved > 0, world.size() > 1) << "particles must travel";
}

TEST_P(JoinedPair, KeepsHiddenStatesAndPassesTokensAsItsFirstMember) {
  o.trigger = Trigger::never;
  o.keep_hidden = true;
  const Proposal of_pair(joined, *pair.twist, ProposalKind::twisted),
      of_first(*pair.first, *pair.twist, ProposalKind::twisted);
  const Sweep a = sweep(pair.with(joined), of_pair, o, world),
              b = sweep(pair.with(*pair.first), of_first, o, world);
  expect_same(a, b);
  EXPECT_TRUE(a.hidden.narrow(2, 0, joined.feature_size()).equal(b.hidden));
  EXPECT_TRUE(a.hidden.equal(hidden_states(pair.with(joined), o.length, a.particles.tokens)));
  const auto forced = forced_pass(pair.with(joined), of_pair, o.length, a.particles.tokens),
             expected = forced_pass(pair.with(*pair.first), of_first, o.length, a.particles.tokens);
  EXPECT_EQ(forced.log_q, expected.log_q);
  EXPECT_EQ(forced.log_p0, expected.log_p0);
  EXPECT_EQ(forced.log_psi, expected.log_psi);
}

TEST_P(JoinedPair, EndsTextsAsItsFirstMember) {
  const auto n_prompt = static_cast<std::int64_t>(pair.prompt.size());
  const model::AbsorbingModel pair_ends(std::make_shared<model::JoinedModel>(joined), end_token, n_prompt),
      first_ends(pair.first, end_token, n_prompt);
  const Proposal of_pair(pair_ends, *pair.twist, ProposalKind::twisted),
      of_first(first_ends, *pair.twist, ProposalKind::twisted);
  expect_same(sweep(pair.with(pair_ends), of_pair, o, world),
              sweep(pair.with(first_ends), of_first, o, world));
}

INSTANTIATE_TEST_SUITE_P(Models, JoinedPair, testing::Values(Kind::tabular, Kind::tiny, Kind::golden),
                         [](const auto& test) {
                           return std::string(test.param == Kind::tabular ? "tabular"
                                              : test.param == Kind::tiny  ? "tiny"
                                                                          : "golden");
                         });

}  // namespace
}  // namespace twistor::smc
