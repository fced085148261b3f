// SPDX-License-Identifier: Apache-2.0
// Reading and writing the checkpoint of a run.
#include "twistor/run/train_checkpoint.hpp"

#include <fmt/format.h>

#include <span>
#include <string>
#include <system_error>

#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/learn/checkpoint.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/run/twist_store.hpp"

namespace twistor::run {

TrainCheckpoint::TrainCheckpoint(const Session& session)
    : session_(session), file_(session.output("checkpoint.h5")) {
  const Resume mode = session_.config().run.resume;
  if (mode == Resume::never) return;
  const std::string doing = "resuming the run in " + session_.config().run.output;
  const bool is_found = learn::is_on_disk(file_, session_.world());
  TWISTOR_CHECK(is_found || mode != Resume::require, ErrorKind::no_input, doing, "there is no checkpoint",
                "set run.resume = auto to start anew");
  if (!is_found) return;
  found_ = learn::load_checkpoint(file_, session_.world());
  require_fits(session_, found_->state, Purpose::go_on_learning);
  const std::int64_t wanted = session_.config().train.updates;
  TWISTOR_CHECK(
      found_->state.update <= wanted, ErrorKind::config, doing,
      fmt::format("its checkpoint has {} updates, train.updates is {}", found_->state.update, wanted),
      "raise train.updates, or set run.resume = never to start anew");
}

void TrainCheckpoint::note_samples(const store::ExactSamples& samples) {
  if (!learn::learns_from_exact(session_.config().train.samples.positives)) return;
  if (session_.pairs() != nullptr) return;  // each update draws its own
  learned_samples_ = exact::digest(samples);
  const std::string before = found_ ? found_->state.learned_samples : std::string{};
  TWISTOR_CHECK(
      before.empty() || before == learned_samples_, ErrorKind::config,
      "resuming the run in " + session_.config().run.output,
      fmt::format("the exact samples that the twist learned from are not those of this run, {} samples with "
                  "exact.path = '{}' and exact.budget = {}",
                  samples.n(), session_.config().exact.path, session_.config().exact.budget),
      "set these back, or choose another run.output to start anew");
}

void TrainCheckpoint::note_prompts(const std::string& digest) {
  learned_samples_ = "prompts " + digest;
  TWISTOR_CHECK(!found_ || found_->state.learned_samples == learned_samples_, ErrorKind::config,
                "resuming the run in " + session_.config().run.output,
                "the prompts that the twist learned on are not those of prompt.file",
                "set the file back, or choose another run.output to start anew");
}

estimate::History TrainCheckpoint::resume(learn::Trainer& trainer) {
  if (session_.config().run.resume == Resume::never) put_aside();
  if (!found_) return {};
  learn::restore(trainer, *found_);
  estimate::History earlier = estimate::history_from_numbers(found_->state.numbers);
  saved_at_ = found_->state.update;
  if (session_.is_root()) log_info(fmt::format("resuming after update {}", found_->state.update));
  found_.reset();
  return earlier;
}

/// A run that starts anew must not find the old one's state when it is interrupted before its first
/// checkpoint.
void TrainCheckpoint::put_aside() const {
  if (!session_.is_root()) return;
  std::error_code ignored;
  std::filesystem::rename(file_, session_.output("checkpoint.replaced.h5"), ignored);
  std::filesystem::remove(session_.output("checkpoint.previous.h5"), ignored);
}

void TrainCheckpoint::save(const twist::Trainable& twist, learn::Trainer& trainer,
                           const estimate::History& evaluations) {
  if (saved_at_ == trainer.n_updates()) return;
  saved_at_ = trainer.n_updates();
  const store::Checkpoint checkpoint = checkpoint_of(twist, trainer, evaluations);
  if (!session_.is_root()) return;
  if (const std::string notice = store::size_notice(checkpoint); !notice.empty() && !has_said_size_)
    log_info(notice);
  has_said_size_ = true;
  store::write_checkpoint(file_, checkpoint);
  if (session_.config().train.course.keep == learn::Keep::last)  // else it is that of best.h5
    twist::write_body(session_.output("adapter").parent_path(), session_.body(), twist);
}

void TrainCheckpoint::save_best(const twist::Trainable& twist, learn::Trainer& trainer,
                                const estimate::History& evaluations) const {
  const store::Checkpoint checkpoint = checkpoint_of(twist, trainer, evaluations);
  if (!session_.is_root()) return;
  store::write_checkpoint(session_.output("best.h5"), checkpoint);
  twist::write_body(session_.output("adapter").parent_path(), session_.body(), twist);
}

store::Checkpoint TrainCheckpoint::checkpoint_of(const twist::Trainable& twist, learn::Trainer& trainer,
                                                 const estimate::History& evaluations) const {
  store::Checkpoint checkpoint = to_checkpoint(session_, twist, trainer);
  checkpoint.learned_samples = learned_samples_;
  checkpoint.numbers.merge(estimate::to_numbers(evaluations));
  return checkpoint;
}

}  // namespace twistor::run
