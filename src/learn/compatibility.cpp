// SPDX-License-Identifier: Apache-2.0
// Comparing a checkpoint with the run that reads it, key by key.
#include "twistor/learn/compatibility.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "twistor/base/error.hpp"
#include "twistor/config/differences.hpp"
#include "twistor/learn/positives.hpp"

namespace twistor::learn {
namespace {

bool is_of_target(const config::Field& field) {
  return field.key.starts_with("target.") || field.key.starts_with("factor.");
}

bool is_compared(const config::Field& field, Purpose purpose, const twist::FormOptions& twist) {
  // A twist that sees observations is used for any of them.
  const bool is_of_one = field.key == "target.text" || field.key == "target.ids" ||
                         field.key == "target.class" || field.key == "target.negate" ||
                         field.key == "target.observation_length";
  if (is_of_one && twist.condition != model::Condition::none) return purpose == Purpose::go_on_learning;
  if (field.key == "model.dtype" || field.key == "twist.body" || field.key == "twist.condition" ||
      is_of_target(field))
    return true;
  if (field.key.starts_with("twist.lora_")) return twist.body == twist::Body::lora;
  if (field.key == "twist.residual") return true;
  if (field.key.starts_with("twist.ngram_")) return twist.residual;
  return purpose == Purpose::go_on_learning && field.about.shapes_learning;
}

/// By tokens where the file has them, because one text may be given in two ways, and two tokenizers may make
/// different tokens of one text.
void compare_prompts(const store::Checkpoint& checkpoint, const Expectation& expected,
                     config::Differences& differences) {
  if (checkpoint.prompt == expected.prompt) return;
  for (const char* key : {"text", "ids", "messages", "template_arguments", "special_tokens"})
    differences.compare_key(fmt::format("prompt.{}", key));
  if (!checkpoint.prompt.empty())
    differences.compare("the prompt as tokens", fmt::format("{}", fmt::join(checkpoint.prompt, ",")),
                        fmt::format("{}", fmt::join(expected.prompt, ",")));
}

}  // namespace

void require_compatible(const store::Checkpoint& checkpoint, config::Fields stored,
                        const Expectation& expected, Purpose purpose) {
  config::Differences differences(std::move(stored), expected.fields);
  differences.compare("the language model's fingerprint", checkpoint.model_fingerprint,
                      expected.model_fingerprint);
  if (checkpoint.model_fingerprint != expected.model_fingerprint)
    differences.compare_key("model.padded_tokens");
  differences.compare("twist.form", checkpoint.twist_form, expected.twist.form);
  if (purpose == Purpose::go_on_learning || expected.has_one_prompt)
    compare_prompts(checkpoint, expected, differences);
  differences.compare("the target", checkpoint.target_identity, expected.target_identity);
  if (purpose == Purpose::go_on_learning)
    differences.compare("train.objective", checkpoint.objective, expected.objective);
  // The identity has the contents of files and folders, so that these may have moved.
  const bool is_same_target = checkpoint.target_identity == expected.target_identity;
  for (const config::Field& field : expected.fields) {
    if (is_same_target && is_of_target(field) && field.about.is_input) continue;
    if (is_compared(field, purpose, expected.twist)) differences.compare_key(field.key);
  }
  if (purpose == Purpose::go_on_learning && expected.decay != Decay::none)
    differences.compare_key("train.updates");
  // Then every exact sample measures, and the twist must have learned from none of them.
  if (purpose == Purpose::use && !learns_from_exact(expected.positives))
    differences.compare_key("train.positives");
  TWISTOR_CHECK(differences.text().empty(), ErrorKind::config, "resuming from a checkpoint",
                differences.text(), "set these back, or choose another run.output to start anew");
}

}  // namespace twistor::learn
