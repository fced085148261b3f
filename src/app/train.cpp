// `twistor train`: exact samples, evaluation, contrastive learning with checkpoints, evaluation.
#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "twistor/app/commands.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/app/signals.hpp"
#include "twistor/app/twist_store.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/report/metrics.hpp"
#include "twistor/report/progress.hpp"

namespace twistor::app {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

learn::TrainOptions train_options(const Config& config) {
  learn::TrainOptions options;
  options.objective = learn::objective_from_name(config.train.objective);
  options.length = config.target.length;
  options.batch = config.train.batch;
  options.positive_batch = config.train.positive_batch;
  options.positives = learn::positives_from_name(config.train.positives);
  options.anneal = config.train.anneal;
  options.anneal_ess = config.train.anneal_ess;
  options.inner_epochs = config.train.inner_epochs;
  options.n_shards = config.train.shards;
  options.adam.learning_rate = config.train.learning_rate;
  options.seed = config.run.seed;
  return options;
}

class Training {
 public:
  explicit Training(const Invocation& invocation)
      : session_(invocation.config, invocation.config_file),
        checkpoint_(fitting_checkpoint()),
        exact_(session_.exact_samples(
            [this](const store::ExactSamples& samples) { (void)split(samples, session_.config()); })),
        source_(split(exact_, session_.config()).for_learning),
        problem_(session_.problem()),
        twist_(session_.make_twist()),
        trainer_(problem_, *twist_, train_options(session_.config()), source_, session_.world()) {
    counters_.sums["skipped_updates"] = 0;  // said also by a run that finds nothing left to learn
    // Up to here nothing of an earlier run was replaced: all checks are done.
    resume();
    if (session_.is_root())
      metrics_.emplace(session_.output("metrics.jsonl"),
                       trainer_.state().update > 0 ? std::optional(trainer_.state().update) : std::nullopt);
  }

  int run() {
    try {
      learn();
    } catch (const Stopped&) {
      if (trainer_.state().update > 0) save();
      throw;
    }
    const Counters counters = all_reduce(counters_, session_.world());
    if (session_.is_root())
      publish(session_, {base(), first_ ? &*first_ : nullptr, &last_}, counters, seconds_since(begin_));
    return 0;
  }

 private:
  /// Learning that starts from psi = 1 has evaluated the base model before its first update.
  [[nodiscard]] bool starts_from_base() const { return session_.config().twist.init_scale == 0; }
  [[nodiscard]] const Evaluation* base() const {
    const std::optional<Evaluation>& found = starts_from_base() ? first_ : base_;
    return found ? &*found : nullptr;
  }

  /// Throws Stopped after a signal.
  void learn() {
    const Config& config = session_.config();
    std::int64_t begin = 0;
    for (const std::int64_t end : epoch_ends(config.train)) {
      // A run that goes on in the middle of an epoch does what the uninterrupted one does: it has been
      // evaluated already.
      const std::int64_t at = trainer_.state().update;
      if (config.train.evaluate && at == begin && at < end) {
        if (config.evaluate.base && !starts_from_base() && !base_) {
          base_ = evaluate_base(session_, exact_);
          counters_.add(base_->bounds.counters);
        }
        evaluate();
      }
      if (at < end) learn_until(end);
      begin = end;
    }
    if (trainer_.state().update == 0) save();  // train.updates = 0: the untrained twist is a result too
    evaluate();
    forget_base(session_);
  }

  [[nodiscard]] std::filesystem::path checkpoint_file() const { return session_.output("checkpoint.h5"); }

  /// The checkpoint in run.output that this run goes on from, checked before anything is written. Every rank
  /// reads it, so that all fail alike if it does not fit. *Collective over the world.*
  [[nodiscard]] std::optional<store::Checkpoint> fitting_checkpoint() const {
    learn::require_shards(session_.world().size(), session_.config().train.shards);
    const std::string& mode = session_.config().run.resume;
    if (mode == "never") return std::nullopt;
    std::int64_t is_there = 0;
    if (session_.is_root())
      is_there = std::filesystem::exists(checkpoint_file()) ||
                 std::filesystem::exists(session_.output("checkpoint.previous.h5"));
    comm::broadcast(std::span(&is_there, 1), 0, session_.world());
    TWISTOR_CHECK(is_there != 0 || mode != "require", ErrorKind::no_input,
                  "resuming the run in " + session_.config().run.output, "there is no checkpoint",
                  "set run.resume = auto to start anew");
    if (is_there == 0) return std::nullopt;
    store::Checkpoint checkpoint = store::load_checkpoint(checkpoint_file());
    require_fits(session_, checkpoint, Purpose::go_on_learning);
    TWISTOR_CHECK(checkpoint.update <= session_.config().train.updates, ErrorKind::config,
                  "resuming the run in " + session_.config().run.output,
                  fmt::format("its checkpoint has {} updates, train.updates is {}", checkpoint.update,
                              session_.config().train.updates),
                  "raise train.updates, or set run.resume = never to start anew");
    return checkpoint;
  }

  void resume() {
    if (session_.config().run.resume == "never") put_old_checkpoint_aside();
    if (!checkpoint_) return;
    set_parameters(*twist_, *checkpoint_);
    trainer_.resume(trainer_state(*checkpoint_));
    first_ = from_numbers(checkpoint_->numbers, "before");
    base_ = from_numbers(checkpoint_->numbers, "base");
    saved_at_ = checkpoint_->update;
    if (session_.is_root()) log_info(fmt::format("resuming after update {}", checkpoint_->update));
    checkpoint_.reset();
  }

  /// A run that starts anew must not find the old one's state when it is interrupted before its first
  /// checkpoint.
  void put_old_checkpoint_aside() const {
    if (!session_.is_root()) return;
    std::error_code ignored;
    std::filesystem::rename(checkpoint_file(), session_.output("checkpoint.replaced.h5"), ignored);
    std::filesystem::remove(session_.output("checkpoint.previous.h5"), ignored);
  }

  /// Throws Stopped when a signal asked to stop; the checkpoint is written then.
  void learn_until(std::int64_t end) {
    const TrainConfig& train = session_.config().train;
    report::ProgressLine progress(session_.progress());
    while (trainer_.state().update < end) {
      const auto begin = Clock::now();
      const learn::UpdateReport report = trainer_.update();
      record(report, seconds_since(begin));
      const std::int64_t done = trainer_.state().update;
      progress.update(
          fmt::format("update {} of {}  loss {:.4f}  log Z {:.3f}  ESS {:.1f}  {:.3f} s each", done,
                      train.updates, report.loss, report.log_z, report.negative_ess, seconds_since(begin)),
          {done, train.updates});
      const int signal = agreed_signal(session_.world());
      const bool is_due = train.checkpoint_every > 0 && done % train.checkpoint_every == 0;
      if (signal != 0 || is_due || done == train.updates) save();
      if (signal != 0 && done < train.updates) {
        progress.finish();
        save();
        session_.stop(fmt::format("the checkpoint after update {} is written; run again to go on", done));
      }
    }
  }

  void record(const learn::UpdateReport& report, double seconds) {
    counters_.add(report.times.sweep);
    counters_.seconds["sample_s"] += report.times.sample_s;
    counters_.seconds["positives_s"] += report.times.positives_s;
    counters_.seconds["gradient_s"] += report.times.gradient_s;
    counters_.seconds["reduce_s"] += report.times.reduce_s;
    counters_.seconds["step_s"] += report.times.step_s;
    // Every rank skips alike: counted once, on the first.
    counters_.sums["skipped_updates"] += session_.is_root() && report.is_skipped ? 1 : 0;
    if (session_.is_root() && report.is_skipped && !has_warned_)
      log_warning(
          "no sample of the proposal had phi > 0, so an update was skipped; use exact positives, a "
          "target.log_floor, "
          "or a larger train.batch");
    has_warned_ |= report.is_skipped;
    if (!metrics_) return;
    report::JsonLine line;
    line.add("update", trainer_.state().update).add("loss", report.loss).add("log_z_hat", report.log_z);
    line.add("negative_ess", report.negative_ess)
        .add("f_q", report.f_q)
        .add("log_phi", report.log_phi)
        .add("phi_power", report.power)
        .add("skipped", report.is_skipped)
        .add("seconds", seconds);
    metrics_->write(line);
  }

  /// Nothing if the state is saved already: an equal generation would push out the one before.
  void save() {
    if (saved_at_ == trainer_.state().update) return;
    saved_at_ = trainer_.state().update;
    if (!session_.is_root()) return;
    store::Checkpoint checkpoint = to_checkpoint(session_, *twist_, trainer_.state());
    if (first_) checkpoint.numbers = to_numbers(*first_, "before");
    if (base_) checkpoint.numbers.merge(to_numbers(*base_, "base"));
    if (const std::string notice = size_notice(checkpoint); !notice.empty() && !has_said_size_)
      log_info(notice);
    has_said_size_ = true;
    store::write_checkpoint(checkpoint_file(), checkpoint);
  }

  void evaluate() {
    last_ = evaluate_twist(session_, *twist_, trainer_.state().update, exact_);
    counters_.add(last_.bounds.counters);
    if (!first_ && last_.update == 0) first_ = last_;
    if (!metrics_) return;
    report::JsonLine line;
    line.add("update", last_.update).add("event", "evaluation").add_all(to_numbers(last_, "evaluation"));
    metrics_->write(line);
  }

  Clock::time_point begin_ = Clock::now();
  Session session_;
  std::optional<store::Checkpoint> checkpoint_;  // until resume() has taken it over
  store::ExactSamples exact_;
  estimate::ExactSource source_;
  smc::Problem problem_;
  std::unique_ptr<twist::HeadTwist> twist_;
  learn::Trainer trainer_;
  std::optional<report::MetricsWriter> metrics_;
  std::optional<Evaluation> base_,
      first_;  // of psi = 1 where learning starts elsewhere; before the first update
  Evaluation last_;
  Counters counters_;
  std::int64_t saved_at_ = -1;  // update of the newest checkpoint
  bool has_warned_ = false, has_said_size_ = false;
};

}  // namespace

int train(const Invocation& invocation) {
  return Training(invocation).run();
}

}  // namespace twistor::app
