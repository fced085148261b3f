// SPDX-License-Identifier: Apache-2.0
// Checkpoints of twists.
#include "twistor/app/twist_store.hpp"

#include <string>

#include "twistor/config/paths.hpp"
#include "twistor/learn/checkpoint.hpp"

namespace twistor::app {

store::Checkpoint to_checkpoint(const Session& session, const twist::Trainable& twist,
                                learn::Trainer& trainer) {
  store::Checkpoint c;
  c.config_text = to_text(session.config());
  c.model_fingerprint = session.lm().fingerprint();
  c.twist_form = twist.form();
  c.prompt = session.prompt();
  c.target_identity = session.potential_identity();
  c.seed = session.config().run.seed;
  const exact::Options& exact = session.config().exact;
  c.exact_samples_path =
      (exact.path.empty() ? session.output("exact.h5") : config::output_path(exact.path)).string();
  learn::save(trainer, c);
  return c;
}

std::filesystem::path twist_file(const Session& session) {
  const std::string& given = session.config().evaluate.checkpoint;
  if (!given.empty()) return config::output_path(given);
  return session.output(session.config().train.course.keep == learn::Keep::best ? "best.h5"
                                                                                : "checkpoint.h5");
}

std::unique_ptr<twist::Trainable> load_twist(Session& session, store::Checkpoint& checkpoint) {
  if (session.config().twist.is_computed())
    return session.make_twist("ctl");  // psi_t is whole: it may resample
  checkpoint = learn::load_checkpoint(twist_file(session), session.world());
  require_fits(session, checkpoint, Purpose::use);
  auto twist = session.make_twist(checkpoint.objective);
  learn::restore(*twist, checkpoint);
  return twist;
}

void require_fits(const Session& session, const store::Checkpoint& checkpoint, Purpose purpose) {
  require_compatible(checkpoint,
                     {.config = session.config(),
                      .model_fingerprint = session.lm().fingerprint(),
                      .target_identity = session.potential_identity(),
                      .prompt = session.prompt()},
                     purpose);
}

}  // namespace twistor::app
