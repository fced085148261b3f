// SPDX-License-Identifier: Apache-2.0
// Comparing a checkpoint with the run that reads it.
#include "twistor/run/compatibility.hpp"

#include "twistor/base/error.hpp"

namespace twistor::run {
namespace {

/// Keys that the file lacks are younger than it and stand for what they default to.
Config stored_config(const store::Checkpoint& checkpoint) {
  try {
    return parse_config(checkpoint.config_text, "the configuration in the checkpoint");
  } catch (const Error& error) {
    throw Error(
        ErrorKind::config, "comparing the checkpoint with this run", error.what(),
        "another version of twistor wrote it; use that one, or choose another run.output to start anew");
  }
}

}  // namespace

void require_compatible(const store::Checkpoint& checkpoint, const Expectation& expected, Purpose purpose) {
  Config stored = stored_config(checkpoint), wanted = expected.config;
  const TrainConfig& train = expected.config.train;
  const bool is_of_one_prompt = stored.prompt.file.empty();
  learn::require_compatible(checkpoint, fields_of(stored),
                            {fields_of(wanted), wanted.twist, train.objective, train.trainer.decay,
                             train.samples.positives, expected.model_fingerprint, expected.target_identity,
                             expected.prompt, wanted.prompt.file.empty() && is_of_one_prompt},
                            purpose);
}

}  // namespace twistor::run
