// Checkpoints of twists.
#include "twistor/app/twist_store.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::app {

store::Checkpoint to_checkpoint(const Session& session, const twist::Trainable& twist,
                                const learn::TrainerState& state) {
  store::Checkpoint c;
  c.config_text = to_text(session.config());
  c.model_fingerprint = session.lm().fingerprint();
  c.twist_form = twist.form();
  c.objective = state.objective;
  c.prompt = session.prompt();
  c.target_identity = session.potential_identity();
  c.update = state.update;
  c.adam_step = state.adam_step;
  c.seed = session.config().run.seed;
  const ExactConfig& exact = session.config().exact;
  c.exact_samples_path = (exact.path.empty() ? session.output("exact.h5") : output_path(exact.path)).string();
  for (const twist::Parameter& p : twist.parameters()) {
    c.parameters[p.name] = {p.shape, p.value};
    if (const auto moments = state.moments.find(p.name); moments != state.moments.end()) {
      c.adam_m[p.name] = {p.shape, moments->second.m};
      c.adam_v[p.name] = {p.shape, moments->second.v};
    }
  }
  return c;
}

std::string size_notice(const store::Checkpoint& checkpoint) {
  std::size_t bytes = 0;
  for (const auto* arrays : {&checkpoint.parameters, &checkpoint.adam_m, &checkpoint.adam_v})
    for (const auto& [name, array] : *arrays) bytes += array.values.size() * sizeof(float);
  if (bytes <= 100'000'000) return {};
  return fmt::format("a checkpoint of this twist takes {:.0f} MB on disk, and the one before it is kept too",
                     static_cast<double>(bytes) / 1e6);
}

void set_parameters(twist::Trainable& twist, const store::Checkpoint& checkpoint) {
  for (twist::Parameter& p : twist.parameters()) {
    const auto found = checkpoint.parameters.find(p.name);
    TWISTOR_CHECK(found != checkpoint.parameters.end() && found->second.shape == p.shape, ErrorKind::data,
                  "reading the twist from the checkpoint",
                  fmt::format("the parameter {} is missing or has another shape", p.name),
                  "the checkpoint belongs to another twist.form or model");
    p.value = found->second.values;
  }
  twist.refresh();
}

learn::TrainerState trainer_state(const store::Checkpoint& checkpoint) {
  learn::TrainerState state{checkpoint.update, checkpoint.adam_step, checkpoint.objective, {}};
  for (const auto& [name, m] : checkpoint.adam_m) state.moments[name].m = m.values;
  for (const auto& [name, v] : checkpoint.adam_v) state.moments[name].v = v.values;
  return state;
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
