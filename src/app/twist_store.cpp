// Checkpoints of twists.
#include "twistor/app/twist_store.hpp"

#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/learn/checkpoint.hpp"
#include "twistor/model/lora_adapter.hpp"
#include "twistor/twist/body.hpp"

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

void write_adapter(const Session& session, const twist::Trainable& twist) {
  const model::TrainableDecoder* const body = session.body();
  if (body == nullptr || body->lora() == nullptr || body->adapter_base().is_gguf) return;
  std::vector<std::span<const float>> values;
  for (const twist::Parameter& p : twist.parameters())
    if (p.name.starts_with(twist::body_prefix)) values.emplace_back(p.value);
  const model::AdapterFiles files = model::lora_adapter_files(*body, values);
  const std::filesystem::path folder = session.output("adapter");
  constexpr const char* doing = "writing the adapter";
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, doing, failure.message(), "choose another run.output");
  write_file_atomically(folder / "adapter_model.safetensors", files.weights, doing);
  write_file_atomically(folder / "adapter_config.json", files.config, doing);
}

std::filesystem::path twist_file(const Session& session) {
  const std::string& given = session.config().evaluate.checkpoint;
  if (!given.empty()) return config::output_path(given);
  return session.output(session.config().train.keep == Keep::best ? "best.h5" : "checkpoint.h5");
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
