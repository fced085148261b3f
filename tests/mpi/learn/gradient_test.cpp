// The gradient that the trainer descends against the gradient of CTL by enumeration: every prefix of a
// tabular problem has a parameter of its own, so that none of its terms can hide.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>

#include "support/tabular_problem.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::learn {
namespace {

constexpr std::int64_t V = 4, T = 4, end_token = 1;

/// log psi of every prefix of up to T tokens is a parameter.
class PrefixTwist final : public twist::Trainable {
 public:
  explicit PrefixTwist(const model::TabularModel& lm) : lm_(lm) {
    std::int64_t n = 1;
    for (std::int64_t t = 0; t < T; ++t) n = n * (V + 1) + V + 1;
    parameters_.push_back({"table", {n, 1}, std::vector<float>(static_cast<std::size_t>(n)), false});
  }
  static std::size_t place(const test::Tokens& prefix) {
    std::size_t code = 0;
    for (const std::int64_t token : prefix) code = code * (V + 1) + static_cast<std::size_t>(token) + 1;
    return code;
  }
  void set(const std::function<double(const test::Tokens&)>& log_psi) {
    for_each_prefix([&](const test::Tokens& prefix) {
      parameters_[0].value[place(prefix)] = static_cast<float>(log_psi(prefix));
    });
  }
  template <class Use>
  static void for_each_prefix(const Use& use) {
    std::int64_t n = 1;
    for (std::int64_t t = 1; t <= T; ++t) {
      n *= V;
      for (std::int64_t code = 0; code < n; ++code) {
        test::Tokens prefix(static_cast<std::size_t>(t));
        for (std::int64_t i = t - 1, rest = code; i >= 0; --i, rest /= V)
          prefix[static_cast<std::size_t>(i)] = rest % V;
        use(prefix);
      }
    }
  }

  std::int64_t vocab_size() const override { return V; }
  at::Tensor features(const at::Tensor& hidden) const override { return hidden; }
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override {
    for (std::int64_t r = 0; r < features.size(0); ++r)
      for (std::int64_t v = v_begin; v < v_end; ++v)
        out.mutable_data_ptr<double>()[r * out.stride(0) + v - v_begin] =
            parameters_[0].value[place(prefix_of(features, r, v))];
  }
  std::string form() const override { return "prefixes"; }
  std::vector<twist::Parameter>& parameters() override { return parameters_; }
  const std::vector<twist::Parameter>& parameters() const override { return parameters_; }
  void gradient(const twist::LogPsiTerms& terms, const twist::GradientSink& sink) const override {
    twist::GradientBlock block{0, {}, std::vector<float>(parameters_[0].value.size())};
    std::vector<double> sums(block.values.size());
    for (std::size_t i = 0; i < terms.tokens.size(); ++i)
      sums[place(prefix_of(terms.hidden, static_cast<std::int64_t>(i), terms.tokens[i]))] +=
          terms.on_log_psi[i];
    for (std::size_t i = 0; i < sums.size(); ++i) {
      block.values[i] = static_cast<float>(sums[i]);
      seen[i] += sums[i];
    }
    sink(std::move(block));
  }
  void refresh() override {}

  /// All gradients so far, added up.
  mutable std::map<std::size_t, double> seen;

 private:
  [[nodiscard]] test::Tokens prefix_of(const at::Tensor& hidden, std::int64_t row, std::int64_t token) const {
    test::Tokens prefix = lm_.prefix_of(hidden.const_data_ptr<double>()[row * hidden.stride(0)]);
    prefix.erase(prefix.begin());  // the prompt
    prefix.push_back(token);
    return prefix;
  }

  const model::TabularModel& lm_;
  std::vector<twist::Parameter> parameters_;
};

/// A target with a prompt of one token, whose texts may end early.
struct Target {
  explicit Target(bool can_end) {
    if (can_end) lm = std::make_unique<model::AbsorbingModel>(base, end_token, 1);
  }
  [[nodiscard]] const model::LanguageModel& model() const {
    return lm != nullptr ? *lm : static_cast<const model::LanguageModel&>(*base);
  }
  [[nodiscard]] smc::Problem problem() const { return {model(), prompt, potential}; }

  std::shared_ptr<const model::TabularModel> base =
      std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 11, 0.7));
  std::unique_ptr<model::AbsorbingModel> lm;
  test::Tokens prompt{2};
  test::RoughPotential potential{2.0};
};

/// One sequence as enumeration sees it.
struct Path {
  test::Tokens tokens;
  std::vector<double> log_p0, log_q, log_psi;  // (T)
  double log_sigma = 0;                        // not normalised
};

double sum(const std::vector<double>& x, std::int64_t n = T) {
  return std::accumulate(x.begin(), x.begin() + n, 0.0);
}

/// All sequences of p0 > 0.
std::vector<Path> all_paths(const Target& target, const twist::Twist& twist) {
  std::vector<Path> out;
  PrefixTwist::for_each_prefix([&](const test::Tokens& s) {
    if (static_cast<std::int64_t>(s.size()) < T) return;
    const smc::Proposal q(target.model(), twist, smc::ProposalKind::twisted);
    const smc::ForcedPass pass = smc::forced_pass(target.problem(), q, T, s);
    Path path{s, pass.log_p0, pass.log_q, pass.log_psi, 0};
    path.log_sigma = sum(path.log_p0) + target.potential.log_phi({target.prompt, s, T})[0];
    if (sum(path.log_p0) > log_zero) out.push_back(std::move(path));
  });
  return out;
}

/// - mean over t of (sigma - pi_t) of every prefix (Zhao et al. 2024, Sec. 4.1), what comes after the end of
/// a text being the end's.
std::map<std::size_t, double> enumerated_gradient(const Target& target, const twist::Twist& twist) {
  const std::vector<Path> paths = all_paths(target, twist);
  std::map<std::size_t, double> out;
  for (std::int64_t t = 0; t < T; ++t) {
    // pi_t of a prefix, spread over its continuations by p0, which sums to the same.
    std::vector<double> log_pi, log_sigma;
    for (const Path& p : paths) {
      log_pi.push_back(sum(p.log_p0) + p.log_psi[static_cast<std::size_t>(t)]);
      log_sigma.push_back(p.log_sigma);
    }
    const double log_sum_pi = log_sum_exp(log_pi), log_sum_sigma = log_sum_exp(log_sigma);
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const test::Tokens& s = paths[i].tokens;
      std::int64_t n = t + 1;
      while (n > 1 && target.lm != nullptr && s[static_cast<std::size_t>(n - 2)] == end_token) --n;
      out[PrefixTwist::place(test::Tokens(s.begin(), s.begin() + n))] +=
          (std::exp(log_pi[i] - log_sum_pi) - std::exp(log_sigma[i] - log_sum_sigma)) / T;
    }
  }
  return out;
}

double rough_log_psi(const test::Tokens& prefix) {
  return 1.2 * test::rough(prefix, 9);
}

class Gradient : public testing::TestWithParam<std::tuple<Positives, bool>> {
 protected:
  [[nodiscard]] static Positives positives() { return std::get<0>(GetParam()); }
  [[nodiscard]] static ObjectiveOptions options(std::int64_t n) {
    return {.batch = n, .positive_batch = n, .positives = positives(), .anneal_ess = 8};
  }
  Gradient() { twist.set(rough_log_psi); }

  Target target{std::get<1>(GetParam())};
  PrefixTwist twist{*target.base};
  smc::Problem problem = target.problem();
  twistor::exact::Enumeration enumeration =
      twistor::exact::enumerate(target.model(), target.potential, target.prompt, T);
  exact::Source source{20000, [this](std::int64_t i) { return enumeration.draw(7, i); }};
  comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
};

// 20,000 samples of each kind. A gradient is at most 1/4 times a difference of frequencies, whose standard
// error is at most 0.5 / sqrt(20000 ESS/n) < 0.006 with an ESS of a third; five of them.
TEST_P(Gradient, IsThatOfCtl) {
  if (world.size() > 1) GTEST_SKIP() << "other rank counts give the same bits (training_test.cpp)";
  const auto expected = enumerated_gradient(target, twist);
  Trainer trainer(problem, twist, make_objective("ctl", options(20000)),
                  {.length = T, .n_shards = 4, .adam = {.learning_rate = 0}}, source, self);
  EXPECT_EQ(trainer.update().skipped, "");
  double largest = 0, total = 0;
  for (const auto& [place, value] : expected) {
    EXPECT_NEAR(twist.seen[place], value, 0.0075) << place;
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_GT(largest, 0.03) << "there is something to see";
  // Positives and negatives weigh the same to the last bits, so a factor on either of them shows.
  for (const auto& [place, value] : twist.seen) total += value;
  EXPECT_NEAR(total, 0, 1e-12);
}

// At every step of every batch, over all ranks.
TEST_P(Gradient, PositivesAndNegativesWeighTheSameAtEveryStep) {
  const auto objective = make_objective("ctl", options(37));
  const Shards shards(8, world);
  BatchSource batches(problem, T, shards, source, world);
  std::vector<Batch> drawn;
  smc::SweepCounters counters;
  for (const Request& request : objective->wants())
    drawn.push_back(batches.draw(request, 0, twist, 5, counters));
  const Terms terms = objective->terms(drawn, {problem, twist, 0}, world);
  std::vector<FixedPointSum> sums(T), sizes(T);
  for (const std::vector<double>& on_log_psi : terms.on_log_psi)
    for (std::size_t i = 0; i < on_log_psi.size(); ++i) {
      sums[i % T].add(on_log_psi[i]);
      sizes[i % T].add(std::abs(on_log_psi[i]));
    }
  comm::all_reduce(std::span(sums), world);
  comm::all_reduce(std::span(sizes), world);
  for (std::size_t t = 0; t < T; ++t) {
    EXPECT_NEAR(sums[t].value(), 0, 1e-13) << t;
    EXPECT_GT(sizes[t].value(), 0.05) << t;
  }
}

double kl_sigma_q(const Target& target, const twist::Twist& twist) {
  std::vector<double> log_sigma;
  const std::vector<Path> paths = all_paths(target, twist);
  for (const Path& p : paths) log_sigma.push_back(p.log_sigma);
  const double log_z = log_sum_exp(log_sigma);
  double kl = 0;
  for (const Path& p : paths) kl += std::exp(p.log_sigma - log_z) * (p.log_sigma - log_z - sum(p.log_q));
  return kl;
}

TEST_P(Gradient, LowersTheEnumeratedDivergence) {
  if (world.size() > 1) GTEST_SKIP() << "one rank is enough";
  const double before = kl_sigma_q(target, twist);
  Trainer trainer(problem, twist, make_objective("ctl", options(400)),
                  {.length = T, .n_shards = 2, .adam = {.learning_rate = 0.03}}, source, self);
  for (int i = 0; i < 150; ++i) (void)trainer.update();
  EXPECT_GT(before, 0.2);
  EXPECT_LT(kl_sigma_q(target, twist), 0.1 * before);
}

std::string case_name(const testing::TestParamInfo<std::tuple<Positives, bool>>& test) {
  return std::string(twistor::name_of(std::get<0>(test.param))) +
         (std::get<1>(test.param) ? "_with_ends" : "");
}
INSTANTIATE_TEST_SUITE_P(Ctl, Gradient,
                         testing::Combine(testing::Values(Positives::exact, Positives::weighted,
                                                          Positives::both),
                                          testing::Bool()),
                         case_name);

// phi = 0 everywhere and no exact samples: an update that is skipped leaves parameters and moments alone.
TEST(SkippedUpdate, ChangesNothing) {
  const comm::Communicator self = comm::Communicator::self();
  test::TinyTask task;
  test::Learner learner(task, "mlp", make_objective("ctl", {.batch = 8, .positives = Positives::weighted}),
                        self);
  learner.learn(1);
  const auto state_of = [&] {
    test::MemoryState state;
    learner.trainer.visit_state(state);
    return state;
  };
  const test::MemoryState before = state_of();
  task.potential = test::RoughPotential(std::numeric_limits<double>::infinity());  // log phi = -inf
  learner.learn(1);
  EXPECT_NE(learner.last.skipped, "");
  EXPECT_TRUE(std::isnan(learner.last.loss));
  const test::MemoryState after = state_of();
  EXPECT_TRUE(after.arrays == before.arrays);
  EXPECT_EQ(after.counts.at("adam_step"), before.counts.at("adam_step"));
  EXPECT_EQ(after.counts.at("update"), before.counts.at("update") + 1);
}

}  // namespace
}  // namespace twistor::learn
