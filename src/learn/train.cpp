// SPDX-License-Identifier: Apache-2.0
// Epochs of updates.
#include "twistor/learn/train.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

template <class... Arguments>
void call(const std::function<void(Arguments...)>& hook, std::type_identity_t<Arguments>... arguments) {
  if (hook) hook(arguments...);
}

/// Collective where there is a limit of time: the slowest rank decides for all.
bool is_used_up(const Trainer& trainer, const Plan& plan, const comm::Communicator& world) {
  if (plan.most_samples > 0 && trainer.n_samples() >= plan.most_samples) return true;
  return plan.most_seconds > 0 && comm::all_reduce_max(trainer.seconds(), world) >= plan.most_seconds;
}

void update(Trainer& trainer, const Hooks& hooks) {
  const Stopwatch watch;
  const UpdateReport report = trainer.update();
  trainer.add_seconds(watch.seconds());
  call(hooks.updated, report, watch.seconds());
}

}  // namespace

Plan make_plan(const CourseOptions& course, std::int64_t updates) {
  return {epoch_ends(course.schedule, updates, course.epochs), course.checkpoint_every, course.evaluate,
          course.max_seconds, course.max_samples};
}

bool train(Trainer& trainer, const Plan& plan, const Hooks& hooks, const Interrupt& interrupt) {
  TWISTOR_ASSERT(!plan.epoch_ends.empty(), "a plan ends somewhere");
  const std::int64_t last = plan.epoch_ends.back();
  const auto goes_on = [&] { return !hooks.evaluate || hooks.evaluate(); };
  std::int64_t begin = 0;
  bool is_over = trainer.n_updates() > 0 && is_used_up(trainer, plan, trainer.world());
  for (const std::int64_t end : plan.epoch_ends) {
    if (!is_over && plan.evaluate_epochs && trainer.n_updates() == begin && begin < end && !goes_on()) {
      call(hooks.save);
      return true;
    }
    while (!is_over && trainer.n_updates() < end) {
      update(trainer, hooks);
      const std::int64_t done = trainer.n_updates();
      is_over = is_used_up(trainer, plan, trainer.world());
      const bool is_due = plan.checkpoint_every > 0 && done % plan.checkpoint_every == 0;
      const bool is_stopped = is_interrupted(interrupt);
      if (is_stopped || is_due || is_over || done == last) call(hooks.save);
      if (is_stopped && done < last && !is_over) return false;
    }
    begin = end;
  }
  if (trainer.n_updates() == 0) call(hooks.save);  // no updates at all: the untrained twist is a result too
  (void)goes_on();
  return true;
}

std::string idle_ranks_notice(int n_ranks, std::int64_t n_shards) {
  if (n_ranks <= n_shards) return {};
  return fmt::format(
      "{} of {} ranks will idle while gradients are computed: train.shards = {} (another number "
      "gives other learned bits); all ranks sample and evaluate",
      n_ranks - n_shards, n_ranks, n_shards);
}

}  // namespace twistor::learn
