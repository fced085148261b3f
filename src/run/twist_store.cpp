// SPDX-License-Identifier: Apache-2.0
// Checkpoints of twists.
#include "twistor/run/twist_store.hpp"

#include <fmt/format.h>

#include <string>

#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/learn/checkpoint.hpp"
#include "twistor/report/short_names.hpp"
#include "twistor/run/unfinished.hpp"

namespace twistor::run {

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
  const std::vector<std::string> given = session.config().evaluate.named_checkpoints();
  if (!given.empty()) return config::output_path(given.front());
  return session.output(session.config().train.course.keep == learn::Keep::best ? "best.h5"
                                                                                : "checkpoint.h5");
}

void require_fits(const Session& session, const store::Checkpoint& checkpoint, Purpose purpose) {
  require_compatible(checkpoint,
                     {.config = session.config(),
                      .model_fingerprint = session.lm().fingerprint(),
                      .target_identity = session.potential_identity(),
                      .prompt = session.prompt()},
                     purpose);
}

namespace {

/// The one of a checkpoint, or one that is computed.
LoadedTwist load_from(Session& session, const std::filesystem::path& file) {
  const bool is_computed = session.config().twist.is_computed();
  learn::LoadedCheckpoint loaded;
  if (!is_computed) {
    loaded = learn::load_checkpoint(file, session.world());
    require_fits(session, loaded.state, Purpose::use);
  }
  const store::Checkpoint& checkpoint = loaded.state;
  // psi_t of a computed one is whole: it may resample.
  auto twist = session.make_twist(is_computed ? "ctl" : checkpoint.objective);
  if (!is_computed) learn::restore(*twist, loaded);
  LoadedTwist out{.twist = nullptr, .learned = twist.get()};
  out.work_key = work_key(session, twist->form(), twist->parameters(), {});
  out.update = checkpoint.update;
  out.trigger = session.sweep_options().trigger;
  out.before = estimate::evaluation_from_numbers(checkpoint.numbers, "before");
  out.twist = std::move(twist);
  return out;
}

}  // namespace

std::vector<LoadedTwist> load_twists(Session& session, std::string_view command) {
  const std::vector<std::string> files = session.config().evaluate.named_checkpoints();
  std::vector<LoadedTwist> out;
  if (files.size() < 2) {
    out.push_back(load_twist(session, command));
    return out;
  }
  TWISTOR_CHECK(session.body() == nullptr && !session.config().twist.is_computed(), ErrorKind::config,
                "loading evaluate.checkpoints",
                "there are several, and twists with a body are taken one by one",
                "give one by evaluate.checkpoint, or put finished runs side by side with `twistor compare`");
  std::vector<std::string> taken{"base"};
  for (const auto& [name, policy] : session.config().policies) taken.push_back(name);
  const std::vector<std::string> names = report::short_names(files, taken);
  for (std::size_t i = 0; i < files.size(); ++i) {
    out.push_back(load_from(session, config::output_path(files[i])));
    out.back().name = names[i];
  }
  return out;
}

LoadedTwist load_twist(Session& session, std::string_view command) {
  auto none = std::make_unique<twist::NoTwist>(session.lm().vocab_size());
  if (session.config().smc.draws_from_policy()) {
    TWISTOR_CHECK(session.policies().size() == 1, ErrorKind::config, "choosing a policy for `sample`",
                  fmt::format("there are {}", session.policies().size()),
                  "take the path or the adapter of all but one away, as --policy.path= does");
    return {std::move(none), nullptr, work_key(session, session.policies().front().identity(), {}, {})};
  }
  TWISTOR_CHECK(session.config().evaluate.named_checkpoints().size() < 2, ErrorKind::config,
                fmt::format("loading the twist for `{}`", command), "evaluate.checkpoints names several",
                "name one by evaluate.checkpoint; `evaluate` takes several");
  const auto file = twist_file(session);
  const bool is_there = session.config().twist.is_computed() || learn::is_on_disk(file, session.world());
  if (session.config().smc.proposal.kind == smc::ProposalKind::base &&
      session.config().evaluate.named_checkpoints().empty() && !is_there) {
    if (session.is_root())
      log_info("no checkpoint in run.output: drawing from p0 without a twist and weighing by phi");
    return {std::move(none), nullptr, work_key(session, "none", {}, {}),
            "twist",         0,       session.sweep_options().trigger};
  }
  TWISTOR_CHECK(is_there, ErrorKind::no_input, fmt::format("loading the twist for `{}`", command),
                fmt::format("there is no checkpoint {}", file.string()),
                "train first, name a checkpoint with evaluate.checkpoint, or set smc.proposal = base to draw "
                "without a twist");
  return load_from(session, file);
}

}  // namespace twistor::run
