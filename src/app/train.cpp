// SPDX-License-Identifier: Apache-2.0
// `twistor train`: exact samples, evaluation, learning with checkpoints, evaluation.
#include <fmt/format.h>

#include <memory>

#include "twistor/app/commands.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/app/prompts.hpp"
#include "twistor/app/train_log.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/learn/checkpoint.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/train.hpp"
#include "twistor/report/sample_file.hpp"
#include "twistor/run/cost.hpp"
#include "twistor/run/train_checkpoint.hpp"
#include "twistor/run/twist_store.hpp"
#include "twistor/run/unfinished.hpp"
#include "twistor/smc/computed_twist.hpp"
#include "twistor/smc/memory.hpp"

namespace twistor::app {
namespace {

learn::TrainOptions train_options(const run::Session& session) {
  const run::Config& config = session.config();
  learn::TrainOptions options = config.train.trainer;
  options.sums = session.gradient_sums();
  options.length = config.target.length;
  options.n_updates = config.train.updates;
  options.seed = config.run.seed;
  if (const std::string& file = config.train.course.round_file; !file.empty()) {
    report::ReadSamples samples = report::read_samples(config::output_path(file));
    options.first_round = {
        {std::move(samples.tokens), std::move(samples.log_weight), std::move(samples.log_phi)}, file};
  }
  return options;
}

/// What goes with one prompt alone. Throws Error(config).
void require_prompts_to_learn_on(const run::Session& session) {
  require_prompts_alone(session);
  const char* const doing = "learning on the prompts of prompt.file";
  TWISTOR_CHECK(!session.config().twist.has_body(), ErrorKind::config, doing,
                "a twist's own body reads one prompt", "set twist.body = base");
}

/// Where the model computes on a GPU.
void say_learning_memory(const run::Session& session, const smc::Problem& problem,
                         const twist::Trainable& twist) {
  std::int64_t numbers = 0;
  for (const twist::Parameter& p : twist.parameters()) numbers += static_cast<std::int64_t>(p.value.size());
  smc::say_learning_memory(problem.lm, *problem.start, session.config().target.length, session.share(),
                           numbers);
}

class Training {
 public:
  explicit Training(const Invocation& invocation)
      : session_(invocation.config, invocation.config_file),
        checkpoint_(session_),
        exact_(exact_samples()),
        source_(split(exact_, session_.config()).for_learning),
        positives_(settle_positives()),
        problem_(session_.problem()),
        twist_(session_.make_twist(session_.config().train.objective)),
        trainer_(make_trainer()),
        // Up to here nothing of an earlier run was replaced: all checks are done.
        earlier_(checkpoint_.resume(trainer_)),
        log_(session_, trainer_.n_updates()) {
    if (session_.is_root()) say_learning_memory(session_, problem_, *twist_);
    if (session_.is_root() && !positives_.why.empty()) log_info("positives: " + positives_.why);
    const std::string& start = session_.config().train.course.start;
    if (trainer_.n_updates() == 0 && !start.empty())
      learn::start_from(config::output_path(start), session_.lm().fingerprint(), *twist_, session_.world());
  }

  int run() {
    learn();
    if (!session_.prompts().empty()) return evaluate_on_prompts();
    (void)take_best();
    forget_base(session_);
    finish(session_, log_.sinks(),
           {.base = earlier_.base,
            .before = earlier_.first,
            .is_base_before = starts_from_base(),
            .twists = {{"twist", last_}},
            .policies = rounds()},
           {.counters = log_.counters(), .seconds = watch_.seconds(), .positives = positives_.why});
    return 0;
  }

 private:
  /// Many prompts are evaluated one by one at the end, as `evaluate` does it, with the twist that is kept.
  int evaluate_on_prompts() {
    if (take_best()) {
      const learn::LoadedCheckpoint best =
          learn::load_checkpoint(session_.output("best.h5"), session_.world());
      learn::restore(*twist_, best);
    }
    std::vector<run::LoadedTwist> twists(1);
    twists[0].learned = twist_.get();
    twists[0].work_key = work_key(session_, twist_->form(), twist_->parameters(), {});
    twists[0].update = last_.update;
    twists[0].trigger = session_.sweep_options().trigger;
    twists[0].twist = std::move(twist_);
    report::Run rest{.seconds = watch_.seconds(), .positives = positives_.why};
    rest.counters = log_.counters();
    return evaluate_prompts(session_, twists, std::move(rest));
  }

  /// In the part of each observation its own exact sample is there.
  [[nodiscard]] learn::SettledPositives settle_positives() const {
    const run::Config& config = session_.config();
    if (!session_.prompts().empty())
      return learn::settle_positives_of_prompts(config.train.samples, train_options(session_));
    if (session_.conditional() != nullptr)
      return {config.train.samples.per_observation(), train_options(session_), {}};
    return learn::settle_positives(config.train.samples, train_options(session_), session_.exact_target(),
                                   source_.n, session_.world());
  }

  [[nodiscard]] learn::Trainer make_trainer() {
    const run::TrainConfig& train = session_.config().train;
    auto objective = learn::make_objective(train.objective, positives_.options);
    if (!session_.prompts().empty()) {
      learn::Prompts prompts{session_.twist_lm(), session_.potential(), {}, train.samples.prompts_per_update};
      for (const text::ListedPrompt& p : session_.prompts()) prompts.all.push_back({p.prompt.ids, p.length});
      return {problem_, *twist_, std::move(objective), positives_.train, prompts, session_.world()};
    }
    if (session_.conditional() == nullptr)
      return {problem_, *twist_, std::move(objective), positives_.train, source_, session_.world()};
    return {problem_,
            *twist_,
            std::move(objective),
            positives_.train,
            learn::conditional(*session_.conditional(), session_.pairs(), train.samples.observations),
            session_.world()};
  }

  /// The first long work, so what all of it will cost is said before.
  [[nodiscard]] store::ExactSamples exact_samples() {
    const run::Config& config = session_.config();
    if (!session_.prompts().empty()) {
      require_prompts_to_learn_on(session_);
      checkpoint_.note_prompts(text::digest(session_.prompts()));
      return {};
    }
    say_cost(session_, work_of_training(config, checkpoint_.n_updates(), n_exact_without_draws(session_)));
    return session_.exact_samples([&](const store::ExactSamples& samples) {
      (void)split(samples, config);
      checkpoint_.note_samples(samples);
    });
  }

  /// Throws Stopped after a signal; the checkpoint is written then.
  void learn() {
    const learn::Plan plan =
        learn::make_plan(session_.config().train.course, session_.config().train.updates);
    const learn::Hooks hooks{
        .updated = [this](const learn::UpdateReport& report,
                          double seconds) { log_.updated(report, trainer_.n_updates(), seconds); },
        .evaluate = [this] { return session_.prompts().empty() ? evaluate() : evaluate_means(); },
        .save = [this] { checkpoint_.save(*twist_, trainer_, earlier_); }};
    try {
      const bool is_done = learn::train(trainer_, plan, hooks, session_.interrupt());
      log_.pause();
      if (!is_done)
        session_.stop(fmt::format("the checkpoint after update {} is written; run again to go on",
                                  trainer_.n_updates()));
    } catch (const run::Stopped&) {  // an evaluation was cut short, too
      if (trainer_.n_updates() > 0) hooks.save();
      throw;
    }
  }

  /// Learning that starts from psi = 1 has evaluated the base model before its first update.
  [[nodiscard]] bool starts_from_base() const {
    return session_.config().twist.starts_at_one() && session_.config().train.course.start.empty();
  }

  /// A row each.
  [[nodiscard]] std::vector<report::NamedEvaluation> rounds() const {
    std::vector<report::NamedEvaluation> out;
    for (const estimate::Evaluation& e : earlier_.rounds)
      out.push_back({fmt::format("round.{}", out.size() + 1), e});
    return out;
  }

  /// Whether learning goes on. Throws Stopped after a signal.
  bool evaluate() {
    log_.pause();
    const run::Config& config = session_.config();
    const bool is_last = trainer_.n_updates() == config.train.updates;
    if (config.evaluate.base && !is_last && !starts_from_base() && !earlier_.base) {
      earlier_.base = evaluate_base(session_, exact_);
      log_.count(*earlier_.base);
    }
    last_ = evaluate_twist(session_, *twist_, trainer_.n_updates(), exact_);
    std::optional<estimate::Evaluation> base = earlier_.base, first = earlier_.first;
    estimate::share_log_z({base ? &*base : nullptr, first ? &*first : nullptr, &last_});
    log_.evaluated(last_);
    if (trainer_.is_round_over()) earlier_.note_round(last_);
    if (!earlier_.first && last_.update == 0) earlier_.first = last_;
    return config.train.course.keep == learn::Keep::last || still_closes();
  }

  /// Over many prompts, where it is asked for. Likewise.
  bool evaluate_means() {
    log_.pause();
    last_.update = trainer_.n_updates();
    const run::TrainConfig& train = session_.config().train;
    if (!train.course.evaluates_prompts(last_.update == train.updates)) return true;
    last_ = evaluate_mean_over_prompts(session_, *twist_, last_.update);
    log_.evaluated(last_);
    return train.course.keep == learn::Keep::last || still_closes();
  }

  /// False if no evaluation was better than the best for too long.
  bool still_closes() {
    if (earlier_.note(last_)) checkpoint_.save_best(*twist_, trainer_, earlier_);
    const std::string end = earlier_.why_it_ends(last_.update, session_.config().train.course.patience);
    if (!end.empty() && session_.is_root()) log_info(end);
    return end.empty();
  }

  /// Whether the run's result is the best twist, and not the last one.
  bool take_best() {
    if (!earlier_.best || earlier_.best->update == last_.update) return false;
    last_ = *earlier_.best;
    if (session_.is_root())
      log_info(fmt::format("the best twist is that after update {}, in {}", last_.update,
                           session_.output("best.h5").string()));
    return true;
  }

  Stopwatch watch_;
  run::Session session_;
  run::TrainCheckpoint checkpoint_;
  store::ExactSamples exact_;
  exact::Source source_;
  learn::SettledPositives positives_;
  smc::Problem problem_;
  std::unique_ptr<twist::Trainable> twist_;
  learn::Trainer trainer_;
  estimate::History earlier_;
  TrainLog log_;
  estimate::Evaluation last_;
};

}  // namespace

int distill(const Invocation& given) {
  Invocation invocation = given;
  run::TrainConfig& train_config = invocation.config.train;
  if (train_config.objective != "avoid") train_config.objective = "distill";
  train_config.course.schedule = learn::Schedule::fixed;
  train_config.updates = train_config.course.epochs * train_config.samples.round_updates;
  invocation.config.twist.form = "ratio";
  if (!invocation.config.twist.has_body()) invocation.config.twist.body = twist::Body::lora;
  return train(invocation);
}

int train(const Invocation& invocation) {
  TWISTOR_CHECK(!invocation.config.smc.draws_from_policy(), ErrorKind::config, "reading smc.proposal",
                "it is policy, and `train` learns a twist from samples of p0 and of the twist itself",
                "set smc.proposal = twisted; `evaluate` puts policies beside the twist all the same");
  smc::require_learned(invocation.config.twist);
  const std::int64_t n_shards = invocation.config.train.trainer.n_shards;
  const comm::Communicator world = comm::Communicator::world();
  const std::string idle = learn::idle_ranks_notice(world.size(), n_shards);
  if (world.rank() == 0 && !idle.empty()) log_warning(idle);
  return Training(invocation).run();
}

}  // namespace twistor::app
