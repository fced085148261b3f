// Epochs of updates.
#include "twistor/learn/train.hpp"

#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"

namespace twistor::learn {
namespace {

template <class... Arguments>
void call(const std::function<void(Arguments...)>& hook, std::type_identity_t<Arguments>... arguments) {
  if (hook) hook(arguments...);
}

void update(Trainer& trainer, const Hooks& hooks) {
  const Stopwatch watch;
  const UpdateReport report = trainer.update();
  call(hooks.updated, report, watch.seconds());
}

}  // namespace

bool train(Trainer& trainer, const Plan& plan, const Hooks& hooks, const Interrupt& interrupt) {
  TWISTOR_ASSERT(!plan.epoch_ends.empty(), "a plan ends somewhere");
  const std::int64_t last = plan.epoch_ends.back();
  std::int64_t begin = 0;
  for (const std::int64_t end : plan.epoch_ends) {
    if (plan.evaluate_epochs && trainer.n_updates() == begin && begin < end) call(hooks.evaluate);
    while (trainer.n_updates() < end) {
      update(trainer, hooks);
      const std::int64_t done = trainer.n_updates();
      const bool is_due = plan.checkpoint_every > 0 && done % plan.checkpoint_every == 0;
      const bool is_stopped = is_interrupted(interrupt);
      if (is_stopped || is_due || done == last) call(hooks.save);
      if (is_stopped && done < last) return false;
    }
    begin = end;
  }
  if (trainer.n_updates() == 0) call(hooks.save);  // no updates at all: the untrained twist is a result too
  call(hooks.evaluate);
  return true;
}

}  // namespace twistor::learn
