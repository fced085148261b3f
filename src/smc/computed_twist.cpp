// SPDX-License-Identifier: Apache-2.0
// Fitting an n-gram model to samples of p0, and the twist that follows from it and an automaton.
#include "twistor/smc/computed_twist.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/automaton_model.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::smc {
namespace {

/// Logits of a row become probabilities.
void normalise(std::span<double> row) {
  const double highest = *std::ranges::max_element(row);
  double sum = 0;
  for (double& x : row) sum += x = std::exp(x - highest);
  for (double& x : row) x /= sum;
}

/// The mean of p0(v | ...) over hidden states of all ranks, (n, D) here, (V). *Collective over comm.*
std::vector<double> mean_p0(const model::LanguageModel& lm, const at::Tensor& hidden,
                            const comm::Communicator& comm) {
  constexpr std::int64_t rows_at_once = 64;
  const std::int64_t V = lm.vocab_size(), n_all = comm::all_reduce_sum(hidden.size(0), comm);
  std::vector<FixedPointSum> sums(static_cast<std::size_t>(V));
  for (std::int64_t first = 0; first < hidden.size(0); first += rows_at_once) {
    const at::Tensor some = hidden.slice(0, first, std::min(hidden.size(0), first + rows_at_once));
    const std::int64_t n = some.size(0);
    at::Tensor logits = at::empty({n, V}, hidden.options());
    lm.logits(some, 0, V, logits);
    const at::Tensor rows = logits.to(at::kDouble).cpu().contiguous();
    double* const p = rows.mutable_data_ptr<double>();
    parallel_for(n, n > 1, [&](std::int64_t r) { normalise({p + r * V, static_cast<std::size_t>(V)}); });
    constexpr std::int64_t columns_at_once = 1024;
    parallel_for((V + columns_at_once - 1) / columns_at_once, V > columns_at_once, [&](std::int64_t part) {
      for (std::int64_t v = part * columns_at_once; v < std::min(V, (part + 1) * columns_at_once); ++v)
        for (std::int64_t r = 0; r < n; ++r) sums[static_cast<std::size_t>(v)].add(p[r * V + v]);
    });
  }
  comm::all_reduce(std::span(sums), comm);
  // A share of all tokens alike: sums end at 2^-64, and psi must not be 0 where p0 is not.
  constexpr double uniform = 1e-9;
  std::vector<double> out;
  for (const FixedPointSum& sum : sums)
    out.push_back((1 - uniform) * sum.value() / static_cast<double>(n_all) +
                  uniform / static_cast<double>(V));
  return out;
}

}  // namespace

model::Ngram ngram_of_base(const Problem& problem, std::int64_t T, int order, std::int64_t n_samples,
                           std::uint64_t seed, const comm::Communicator& comm) {
  const twist::NoTwist none(problem.lm.vocab_size());
  SweepOptions options{.particles = n_samples, .length = T};
  options.trigger = Trigger::never;
  options.seed = derive_seed(seed, Stream::ngram, 0);
  options.keep_hidden = true;
  const Sweep drawn = sweep(problem, {problem.lm, none, ProposalKind::base}, options, comm);
  const model::EndRule end = problem.lm.end_rule();
  const std::vector<char> has_ended = end.mask(drawn.particles.tokens, T);
  std::vector<std::int64_t> rows;  // steps before the ends of texts
  for (std::size_t i = 0; i < has_ended.size(); ++i)
    if (has_ended[i] == 0) rows.push_back(static_cast<std::int64_t>(i));
  const at::Tensor hidden = drawn.hidden.reshape({-1, drawn.hidden.size(2)});
  const at::Tensor index =
      at::from_blob(rows.data(), {static_cast<std::int64_t>(rows.size())}, at::kLong).to(hidden.device());
  std::vector<double> unigram = mean_p0(problem.lm, hidden.index_select(0, index), comm);
  const std::vector<std::int64_t> tokens =
      comm::all_gather(std::span<const std::int64_t>(drawn.particles.tokens), comm);
  return model::fit_ngram(tokens, T, problem.prompt.back(), std::move(unigram), end, order);
}

ComputedTwist compute_twist(std::shared_ptr<const model::LanguageModel> lm, const Problem& problem,
                            const twist::FormOptions& options, std::int64_t T, std::uint64_t seed,
                            const comm::Communicator& comm) {
  const Stopwatch watch;
  std::optional<model::TokenAutomaton> found = problem.potential.automaton(problem.prompt, lm->vocab_size());
  TWISTOR_CHECK(
      found, ErrorKind::config, "making the twist",
      fmt::format("{}, and the potential is none ({})",
                  options.residual ? "twist.residual asks for an automaton" : "twist.form is automaton",
                  problem.potential.description()),
      "take target.potential = contains, keywords, regex or tokens, or learn a twist (twist.form = mlp)");
  const auto automaton = std::make_shared<const model::TokenAutomaton>(*std::move(found));
  const double lifted_s = watch.seconds();
  // What was learned on top of it must find the same again, whatever the seed of the run.
  const model::Ngram ngram = ngram_of_base(problem, T, static_cast<int>(options.ngram_order),
                                           options.ngram_samples, options.residual ? 0 : seed, comm);
  const double fitted_s = watch.seconds();
  auto values = std::make_shared<const twist::AutomatonValues>(automaton, ngram, lm->end_rule(), T);
  ComputedTwist out{model::join(lm,
                                std::make_shared<model::AutomatonModel>(
                                    automaton, *lm, static_cast<std::int64_t>(problem.prompt.size())),
                                static_cast<std::int64_t>(problem.prompt.size())),
                    values,
                    {}};
  out.description = fmt::format(
      "twist: an automaton of {} states ({:.1f} s) and an n-gram model of order {} with {} contexts, fitted "
      "to {} "
      "texts ({:.1f} s); backward pass {:.1f} s, {:.1f} MB; by it log Z is {:.2f}",
      automaton->n_states, lifted_s, options.ngram_order, ngram.contexts.size(), options.ngram_samples,
      fitted_s - lifted_s, watch.seconds() - fitted_s, static_cast<double>(values->bytes()) * 1e-6,
      values->log_z(ngram, problem.prompt.back()));
  return out;
}

void require_learned(const twist::FormOptions& options) {
  TWISTOR_CHECK(!options.is_computed(), ErrorKind::config, "reading twist.form",
                "it is automaton, which is computed and has nothing that `train` could learn",
                "run `twistor evaluate` or `twistor sample` at once, or choose a form that learns");
}

}  // namespace twistor::smc
