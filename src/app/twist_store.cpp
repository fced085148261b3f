// SPDX-License-Identifier: Apache-2.0
// Checkpoints of twists.
#include "twistor/app/twist_store.hpp"

#include <fmt/format.h>

#include <string>

#include "twistor/app/unfinished.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
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

LoadedTwist load_twist(Session& session, std::string_view command) {
  auto none = std::make_unique<twist::NoTwist>(session.lm().vocab_size());
  if (session.config().smc.draws_from_policy()) {
    TWISTOR_CHECK(session.policies().size() == 1, ErrorKind::config, "choosing a policy for `sample`",
                  fmt::format("there are {}", session.policies().size()),
                  "take the path or the adapter of all but one away, as --policy.path= does");
    return {std::move(none), work_key(session, session.policies().front().identity(), {}, {})};
  }
  const auto file = twist_file(session);
  const bool is_there = session.config().twist.is_computed() || learn::is_on_disk(file, session.world());
  if (session.config().smc.proposal.kind == smc::ProposalKind::base &&
      session.config().evaluate.checkpoint.empty() && !is_there) {
    if (session.is_root())
      log_info("no checkpoint in run.output: drawing from p0 without a twist and weighing by phi");
    return {std::move(none), work_key(session, "none", {}, {})};
  }
  TWISTOR_CHECK(is_there, ErrorKind::no_input, fmt::format("loading the twist for `{}`", command),
                fmt::format("there is no checkpoint {}", file.string()),
                "train first, name a checkpoint with evaluate.checkpoint, or set smc.proposal = base to draw "
                "without a twist");
  store::Checkpoint checkpoint;
  auto twist = load_twist(session, checkpoint);
  std::string key = work_key(session, twist->form(), twist->parameters(), {});
  return {std::move(twist), std::move(key), true, checkpoint.update};
}

}  // namespace twistor::app
