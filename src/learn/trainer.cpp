// SPDX-License-Identifier: Apache-2.0
// One update of learning.
#include "twistor/learn/trainer.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "gradient_sum.hpp"
#include "islands.hpp"
#include "known_positive.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/smc/log_q_rows.hpp"
#include "twistor/smc/prompted.hpp"

namespace twistor::learn {
namespace {

/// What stands for the exact samples of conditional learning, which come with their observations.
const exact::Source& exact_of_each_observation() {
  static const exact::Source one{1, {}};
  return one;
}

/// In main memory in the order of the numbers, so that the bits do not depend on threads.
double sum_of_squares(const twist::GradientBlock& block) {
  if (!block.values.is_cpu()) {
    const double norm = at::linalg_vector_norm(block.values, 2, {}, false, at::kDouble).item<double>();
    return norm * norm;
  }
  double squares = 0;
  for (const float g : block.in_place()) squares += static_cast<double>(g) * static_cast<double>(g);
  return squares;
}

}  // namespace

Trainer::Trainer(const smc::Problem& problem, twist::Trainable& twist, std::unique_ptr<Objective> objective,
                 const TrainOptions& options, const exact::Source& exact, const comm::Communicator& world)
    : problem_(problem),
      twist_(twist),
      objective_(std::move(objective)),
      options_(options),
      world_(world),
      shards_(options.n_shards, world),
      source_(problem, options.length, shards_, exact, world,
              {objective_->may_resample(), options.known_positive}),
      optimizer_(world, options.divided_from, problem.lm.engine()) {
  for (const Request& request : objective_->wants())
    TWISTOR_CHECK(request.source != Source::exact || exact.n > 0, ErrorKind::config, "starting to learn",
                  "train.positives asks for exact samples of the target, and there are none",
                  "set train.positives = auto or weighted, or raise exact.budget");
  if (!options.known_positive.empty()) check_positive(problem, options);
  if (objective_->rounds() && options.first_round.texts.size() > 0)
    check_given(options.first_round, problem, options.length);
  objective_->check(problem);
  TWISTOR_CHECK(
      twist.is_normalised() || !objective_->needs_ratio(), ErrorKind::config, "starting to learn",
      fmt::format("train.objective = {} raises psi at positives and lowers it nowhere; that has an end "
                  "for psi = q / p0 alone, and twist.form is {}",
                  objective_->name(), twist.form()),
      "set twist.form = ratio, or train.objective = ctl");
  TWISTOR_CHECK(!twist.is_normalised() || !objective_->may_resample(), ErrorKind::config, "starting to learn",
                fmt::format("psi = q / p0 (twist.form = {}) cannot say what a prefix is worth, which "
                            "train.objective = {} learns",
                            twist.form(), objective_->name()),
                "set train.objective = ratio or dpg, or another twist.form");
  TWISTOR_ASSERT(twist.link() == objective_->link(), "a twist has the link that its objective learns");
}

Trainer::Trainer(const smc::Problem& problem, twist::Trainable& twist, std::unique_ptr<Objective> objective,
                 const TrainOptions& options, const Conditional& conditional, const comm::Communicator& world)
    : Trainer(problem, twist, std::move(objective), options, exact_of_each_observation(), world) {
  for (const Request& request : objective_->wants())
    TWISTOR_CHECK(
        !is_population(request.source), ErrorKind::config, "starting to learn",
        "a twist of many observations has a positive of each from its joint draw, and train.positives "
        "asks for others",
        "set train.positives = exact, auto, weighted or both");
  islands_ = std::make_unique<ConditionalIslands>(conditional, options.length, shards_, world);
}

Trainer::Trainer(const smc::Problem& problem, twist::Trainable& twist, std::unique_ptr<Objective> objective,
                 const TrainOptions& options, const Prompts& prompts, const comm::Communicator& world)
    : Trainer(problem, twist, std::move(objective), options, no_exact_samples(), world) {
  TWISTOR_ASSERT(!prompts.all.empty(), "there are prompts to learn on");
  for (const Request& request : objective_->wants())
    TWISTOR_CHECK(request.source != Source::conditional, ErrorKind::config, "starting to learn",
                  "train.positives = conditional pins a path of one target, and each update has its own",
                  "set train.positives = auto, weighted or smc");
  const auto n = static_cast<std::int64_t>(prompts.all.size());
  TWISTOR_CHECK(prompts.per_update <= n, ErrorKind::config, "starting to learn",
                fmt::format("train.prompts_per_update = {}, and there are {} prompts", prompts.per_update, n),
                "lower it, or add prompts to prompt.file");
  prompts_.emplace(prompts);
  order_.emplace(options.seed, prompts.all.size());
  if (prompts.per_update > 1)
    islands_ = std::make_unique<PromptIslands>(prompts, options.seed, shards_, world);
}

Trainer::~Trainer() = default;

UpdateReport Trainer::update() {
  UpdateReport report;
  const std::uint64_t seed = derive_seed(options_.seed, Stream::update, static_cast<std::uint64_t>(update_));
  if (islands_ != nullptr) {
    update_islands(seed, report);
  } else if (prompts_) {
    update_prompt(seed, report);
  } else {
    begin_round(seed, report);
    update_whole(problem_, source_, seed, report);
  }
  ++update_;
  check_round(report);
  return report;
}

bool Trainer::is_round_over() const {
  const std::optional<RoundPlan> plan = objective_->rounds();
  return plan && update_ > 0 && update_ % plan->updates == 0;
}

/// Where this update is the first of one.
void Trainer::begin_round(std::uint64_t seed, UpdateReport& report) {
  const std::optional<RoundPlan> plan = objective_->rounds();
  if (!plan || update_ % plan->updates != 0) return;
  const bool is_given = options_.first_round.texts.size() > 0;
  if (is_given && (update_ == 0 || plan->is_of_base)) {  // what learns is no better a sampler than they are
    source_.round() = options_.first_round.texts;
  } else {
    NewRound round = timed(report.times.positives_s, [&] {
      return draw_round(*plan, problem_, options_.length, twist_, update_, seed, world_, report.times.sweep);
    });
    source_.round() = std::move(round.texts);
    report.log_z = round.log_z;
    n_samples_ += plan->samples;
  }
  if (plan->holdout == 0) return;
  holdout_.begin(source_.round(), options_.length, plan->holdout, seed);
  if (holdout_.is_active()) (void)holdout_.check(problem_, twist_, options_.length, world_);
}

/// Held-out texts end a round that learns the others by heart, with the twist that knew them best.
void Trainer::check_round(UpdateReport& report) {
  if (!holdout_.is_active()) return;
  const std::int64_t length = objective_->rounds()->updates, done = (update_ - 1) % length + 1;
  bool is_over = done == length;
  if (Holdout::is_due(done, length))
    is_over |= !timed(report.times.positives_s,
                      [&] { return holdout_.check(problem_, twist_, options_.length, world_); });
  report.numbers.emplace_back("holdout", holdout_.score());
  if (!is_over) return;
  const std::int64_t end = update_ + length - done;  // of the round, or of learning
  update_ = update_ <= options_.n_updates ? std::min(end, options_.n_updates) : end;
  holdout_.end(twist_);
}

void Trainer::update_prompt(std::uint64_t seed, UpdateReport& report) {
  const std::size_t place = order_->of_turn(update_);
  const LearningPrompt& one = prompts_->all[place];
  const smc::PromptedProblem prompted(prompts_->lm, one.prompt, prompts_->potential);
  BatchSource source(prompted.problem(), one.length, shards_, no_exact_samples(), world_,
                     {objective_->may_resample(), {}});
  update_whole(prompted.problem(), source, seed, report);
  report.numbers.emplace_back("prompt", static_cast<double>(place));
}

void Trainer::update_whole(const smc::Problem& problem, BatchSource& source, std::uint64_t seed,
                           UpdateReport& report) {
  std::vector<Batch> batches = draw(source, seed, report);
  // What is reported is the batch under the twist that drew it.
  for (std::int64_t epoch = 0; epoch < objective_->inner_epochs(); ++epoch) {
    if (epoch > 0)
      timed(report.times.gradient_s, [&] {
        for (Batch& batch : batches) source.rescore(batch, twist_);
      });
    std::vector<FixedPointSum> sums(static_cast<std::size_t>(objective_->n_sums()));
    objective_->add_sums(batches, {problem, twist_, update_}, sums);
    if (!sums.empty()) comm::all_reduce(std::span(sums), world_);
    Terms terms = objective_->terms(batches, {problem, twist_, update_, sums}, world_);
    if (epoch == 0) report.numbers.insert(report.numbers.end(), terms.numbers.begin(), terms.numbers.end());
    report.skipped = std::move(terms.skipped);
    if (!report.skipped.empty()) break;
    complete(terms, batches);
    comm::all_reduce(std::span(&*terms.loss, 1), world_);
    if (epoch == 0) report.loss = terms.loss->value();
    const auto pieces_of = [&](std::int64_t shard) {
      std::vector<Piece> pieces;
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const std::int64_t n = batches[b].request.n;
        pieces.push_back({batches[b], terms, b, shards_.begin(n, shard), shards_.begin(n, shard + 1), {}});
      }
      return pieces;
    };
    descend(pieces_of, report);
  }
}

void Trainer::update_islands(std::uint64_t seed, UpdateReport& report) {
  islands_->draw(*objective_, twist_, seed, update_, report.times);
  for (const Request& request : objective_->wants())
    if (request.source != Source::exact || request.n > 1) n_samples_ += request.n * islands_->n();
  for (std::int64_t epoch = 0; epoch < objective_->inner_epochs(); ++epoch) {
    if (epoch > 0) timed(report.times.gradient_s, [&] { islands_->rescore(twist_); });
    Islands::Summary summary =
        islands_->terms(*objective_, twist_, update_,
                        [this](Terms& terms, std::span<const Batch> batches) { complete(terms, batches); });
    report.skipped = std::move(summary.skipped);
    if (epoch == 0) {
      report.log_z = summary.log_z;
      report.numbers = std::move(summary.numbers);
    }
    if (!report.skipped.empty()) break;
    if (epoch == 0) report.loss = summary.loss;
    const auto pieces_of = [&](std::int64_t shard) {
      std::vector<Piece> pieces;
      for (const Island& island : islands_->of_shard(shard))
        for (std::size_t b = 0; b < island.batches.size(); ++b)
          pieces.push_back(
              {island.batches[b], island.terms, b, 0, island.batches[b].request.n, island.observation});
      return pieces;
    };
    descend(pieces_of, report);
  }
}

std::vector<Batch> Trainer::draw(BatchSource& source, std::uint64_t seed, UpdateReport& report) {
  std::vector<Batch> batches;
  std::int64_t n_sweeps = 0, n_own = 0;
  for (const Request& request : objective_->wants()) {
    const bool is_kept = request.source == Source::exact || request.source == Source::round;
    const bool is_own = is_kept || is_population(request.source);  // of positives
    const std::int64_t number = is_own ? n_own++ : n_sweeps++;
    batches.push_back(timed(is_own ? report.times.positives_s : report.times.sample_s,
                            [&] { return source.draw(request, number, twist_, seed, report.times.sweep); }));
    if (!is_kept) n_samples_ += request.n;
    if (!is_own && number == 0) report.log_z = batches.back().log_z;
    if (request.source == Source::proposal && report.numbers.empty()) {
      const BatchMeans means = means_of(batches.back(), world_);
      report.numbers = {{"f_q", means.f_q}, {"log_phi", means.log_phi}};
    }
  }
  return batches;
}

void Trainer::complete(Terms& terms, std::span<const Batch> batches) const {
  TWISTOR_ASSERT(terms.on_score.size() == batches.size(), "an objective has terms for each of its batches");
  FixedPointSum linear;
  terms.on_log_q.resize(batches.size());
  terms.on_value.resize(batches.size());
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const smc::Population& p = batches[b].samples;
    const std::vector<char> ended = problem_.lm.end_rule().mask(p.tokens, p.T);
    for (std::vector<double>* part : {&terms.on_score[b], &terms.on_log_q[b], &terms.on_value[b]}) {
      if (part->empty()) part->resize(p.tokens.size());
      TWISTOR_ASSERT(part->size() == p.tokens.size(), "an objective has a term for each token");
    }
    problem_.lm.end_rule().move_to_end(p.tokens, p.T, terms.on_score[b]);
    for (std::size_t i = 0; i < p.tokens.size(); ++i) {
      linear.add(terms.on_score[b][i] * p.log_psi[i]);
      if (ended[i] != 0) terms.on_log_q[b][i] = terms.on_value[b][i] = 0;
      if (terms.on_log_q[b][i] != 0) linear.add(terms.on_log_q[b][i] * batches[b].log_q[i]);
    }
  }
  if (!terms.loss) terms.loss = linear;
}

/// Gradient of each shard; sum in a fixed tree and Adam, a few parameters at a time unless the whole
/// gradient's length matters.
void Trainer::descend(const std::function<std::vector<Piece>(std::int64_t)>& pieces_of,
                      UpdateReport& report) {
  UpdateTimes& times = report.times;
  const std::vector<twist::Parameter>& parameters = twist_.parameters();
  const auto gradient = make_gradient_sum(options_.sums, parameters, shards_, world_);
  timed(times.gradient_s, [&] {
    for (std::int64_t s = 0; s < shards_.n_local; ++s)
      shard_gradient(pieces_of(s), gradient->sink(static_cast<std::size_t>(s)));
  });
  ++adam_step_;
  std::vector<twist::GradientBlock> waiting;
  for (std::size_t group = 0; group < gradient->n_groups(); ++group) {
    auto sums = timed(times.reduce_s, [&] { return gradient->take(group); });
    if (options_.clip_norm > 0) {
      std::ranges::move(sums, std::back_inserter(waiting));
      continue;
    }
    timed(times.step_s, [&] {
      for (const twist::GradientBlock& sum : sums) adam(sum);
    });
  }
  timed(times.step_s, [&] {
    clip(waiting, report);
    for (const twist::GradientBlock& sum : waiting) adam(sum);
    twist_.refresh();
  });
}

/// Every rank has the whole sum, so every rank finds the same norm.
void Trainer::clip(std::vector<twist::GradientBlock>& gradient, UpdateReport& report) const {
  if (options_.clip_norm == 0) return;
  double squares = 0;
  for (const twist::GradientBlock& block : gradient) squares += sum_of_squares(block);
  const double norm = std::sqrt(squares);
  const bool is_first =
      std::ranges::none_of(report.numbers, [](const auto& n) { return n.first == "gradient_norm"; });
  if (is_first) report.numbers.emplace_back("gradient_norm", norm);
  if (norm <= options_.clip_norm) return;
  const auto factor = static_cast<float>(options_.clip_norm / norm);
  for (twist::GradientBlock& block : gradient) block.values.mul_(factor);
}

std::int64_t Trainer::common_length(std::span<const Piece> pieces) {
  const std::int64_t T = pieces.front().batch.samples.T;
  const bool is_common = std::ranges::all_of(pieces, [T](const Piece& p) { return p.batch.samples.T == T; });
  return is_common ? T : 1;
}

void Trainer::shard_gradient(std::span<const Piece> pieces, const twist::GradientSink& sink) const {
  std::vector<at::Tensor> hidden;
  std::vector<std::int64_t> tokens;
  std::vector<double> on_score, on_log_q, on_value;
  std::vector<twist::ObservedRows> observations;
  for (const Piece& piece : pieces) {
    const auto& [batch, terms, b, begin, end, observation] = piece;
    const std::int64_t T = batch.samples.T;
    if (!observation.empty()) {
      const bool is_same =
          !observations.empty() && observations.back().observation.data() == observation.data();
      if (!is_same) observations.push_back({0, observation});
      observations.back().n += (end - begin) * T;
    }
    hidden.insert(hidden.end(), batch.hidden.begin() + begin, batch.hidden.begin() + end);
    const auto append = [from = begin * T, to = end * T](auto& out, const auto& values) {
      out.insert(out.end(), values.begin() + from, values.begin() + to);
    };
    append(tokens, batch.samples.tokens);
    append(on_score, terms.on_score[b]);
    append(on_log_q, terms.on_log_q[b]);
    append(on_value, terms.on_value[b]);
  }
  if (tokens.empty()) return;
  twist::GradientTerms out{.hidden = at::cat(hidden),
                           .length = common_length(pieces),
                           .tokens = tokens,
                           .on_score = on_score,
                           .observations = observations};
  std::optional<smc::LogQRows> rows;
  if (std::ranges::any_of(on_log_q, [](double c) { return c != 0; })) {
    rows.emplace(problem_.lm, twist_, out.hidden, on_log_q);
    out.on_row = [&rows](std::int64_t v_begin, std::int64_t v_end) { return rows->tile(v_begin, v_end); };
    for (std::size_t i = 0; i < on_score.size(); ++i) on_score[i] += on_log_q[i];
  }
  if (objective_->has_value()) out.on_value = on_value;
  twist_.gradient(out, sink);
}

void Trainer::adam(const twist::GradientBlock& gradient) {
  AdamOptions options = options_.adam;
  options.learning_rate *= rate_factor(options_, update_);
  optimizer_.update(options, adam_step_, gradient, twist_.parameters()[gradient.parameter]);
}

void Trainer::visit_state(StateVisitor& visitor) {
  visitor.count("update", update_);
  visitor.count("adam_step", adam_step_);
  visitor.count("samples", n_samples_);
  std::int64_t milliseconds = std::llround(seconds_ * 1e3);
  visitor.count("milliseconds", milliseconds);
  if (visitor.is_restoring()) seconds_ = static_cast<double>(milliseconds) * 1e-3;
  visitor.ids("pinned", source_.pinned());
  visitor.ids("round_tokens", source_.round().tokens);
  visitor.numbers("round_log_w", source_.round().log_w);
  visitor.numbers("round_log_phi", source_.round().log_phi);
  const std::string name(objective_->name());
  std::string objective = name;
  visitor.text("objective", objective);
  // Its gradients are in the moments.
  TWISTOR_CHECK(
      objective == name, ErrorKind::config, "resuming learning",
      fmt::format("the saved state was learned with train.objective = {}, this run has {}", objective, name),
      "set train.objective back, or choose another run.output to start anew");
  visit_twist(twist_, visitor);
  if (const auto plan = objective_->rounds(); plan && plan->holdout > 0)
    holdout_.visit_state(visitor, twist_);
  if (adam_step_ == 0) return;  // there are no moments yet
  for (const twist::Parameter& p : twist_.parameters()) optimizer_.visit(p, visitor);
}

}  // namespace twistor::learn
