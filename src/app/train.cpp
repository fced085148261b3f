// `twistor train`: exact samples, evaluation, learning with checkpoints, evaluation.
#include <fmt/format.h>

#include <memory>

#include "twistor/app/commands.hpp"
#include "twistor/app/cost.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/app/signals.hpp"
#include "twistor/app/train_checkpoint.hpp"
#include "twistor/app/train_log.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/train.hpp"

namespace twistor::app {
namespace {

learn::TrainOptions train_options(const Config& config) {
  learn::TrainOptions options = config.train.trainer;
  options.length = config.target.length;
  options.seed = config.run.seed;
  return options;
}

class Training {
 public:
  explicit Training(const Invocation& invocation)
      : session_(invocation.config, invocation.config_file),
        checkpoint_(session_),
        exact_(exact_samples()),
        source_(split(exact_, session_.config()).for_learning),
        problem_(session_.problem()),
        twist_(session_.make_twist(session_.config().train.objective)),
        trainer_(problem_, *twist_,
                 learn::make_objective(session_.config().train.objective, session_.config().train.samples),
                 train_options(session_.config()), source_, session_.world()),
        // Up to here nothing of an earlier run was replaced: all checks are done.
        earlier_(checkpoint_.resume(trainer_)),
        log_(session_, trainer_.n_updates()) {}

  int run() {
    learn();
    forget_base(session_);
    finish(session_, log_.sinks(), base(), earlier_.first ? &*earlier_.first : nullptr, last_,
           log_.counters(), watch_.seconds());
    return 0;
  }

 private:
  /// The first long work, so what all of it will cost is said before.
  [[nodiscard]] store::ExactSamples exact_samples() {
    const Config& config = session_.config();
    say_cost(session_, work_of_training(config, checkpoint_.n_updates(), n_exact_without_draws(session_)));
    return session_.exact_samples([&](const store::ExactSamples& samples) {
      (void)split(samples, config);
      checkpoint_.note_samples(samples);
    });
  }

  /// Throws Stopped after a signal; the checkpoint is written then.
  void learn() {
    const TrainConfig& train = session_.config().train;
    const learn::Plan plan{train.epoch_ends(), train.checkpoint_every, train.evaluate};
    const learn::Hooks hooks{
        .updated = [this](const learn::UpdateReport& report,
                          double seconds) { log_.updated(report, trainer_.n_updates(), seconds); },
        .evaluate = [this] { evaluate(); },
        .save = [this] { checkpoint_.save(*twist_, trainer_, earlier_); }};
    try {
      const bool is_done = learn::train(trainer_, plan, hooks, session_.interrupt());
      log_.pause();
      if (!is_done)
        session_.stop(fmt::format("the checkpoint after update {} is written; run again to go on",
                                  trainer_.n_updates()));
    } catch (const Stopped&) {  // an evaluation was cut short, too
      if (trainer_.n_updates() > 0) hooks.save();
      throw;
    }
  }

  /// Learning that starts from psi = 1 has evaluated the base model before its first update.
  [[nodiscard]] bool starts_from_base() const { return session_.config().twist.init_scale == 0; }
  [[nodiscard]] const estimate::Evaluation* base() const {
    const std::optional<estimate::Evaluation>& found = starts_from_base() ? earlier_.first : earlier_.base;
    return found ? &*found : nullptr;
  }

  /// Throws Stopped after a signal.
  void evaluate() {
    log_.pause();
    const Config& config = session_.config();
    const bool is_last = trainer_.n_updates() == config.train.updates;
    if (config.evaluate.base && !is_last && !starts_from_base() && !earlier_.base) {
      earlier_.base = evaluate_base(session_, exact_);
      log_.count(*earlier_.base);
    }
    last_ = evaluate_twist(session_, *twist_, trainer_.n_updates(), exact_);
    std::optional<estimate::Evaluation> base = earlier_.base, first = earlier_.first;
    estimate::share_log_z({base ? &*base : nullptr, first ? &*first : nullptr, &last_});
    log_.evaluated(last_);
    if (!earlier_.first && last_.update == 0) earlier_.first = last_;
  }

  Stopwatch watch_;
  Session session_;
  TrainCheckpoint checkpoint_;
  store::ExactSamples exact_;
  exact::Source source_;
  smc::Problem problem_;
  std::unique_ptr<twist::Trainable> twist_;
  learn::Trainer trainer_;
  EarlierEvaluations earlier_;
  TrainLog log_;
  estimate::Evaluation last_;
};

}  // namespace

int train(const Invocation& invocation) {
  const std::int64_t n_shards = invocation.config.train.trainer.n_shards;
  const comm::Communicator world = comm::Communicator::world();
  if (world.rank() == 0 && world.size() > n_shards)
    log_warning(fmt::format(
        "{} of {} ranks will idle while gradients are computed: train.shards = {} (another number "
        "gives other learned bits); all ranks sample and evaluate",
        world.size() - n_shards, world.size(), n_shards));
  return Training(invocation).run();
}

}  // namespace twistor::app
