// Comparing a checkpoint with the run that reads it, key by key.
#include "twistor/app/compatibility.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "twistor/base/error.hpp"

namespace twistor::app {
namespace {

/// What learning depends on, besides what identifies model, prompt and target.
constexpr std::string_view learning_keys[] = {"train.batch",
                                              "train.positives",
                                              "train.positive_batch",
                                              "train.learning_rate",
                                              "train.shards",
                                              "twist.init_scale",
                                              "twist.adapter",
                                              "train.inner_epochs",
                                              "train.anneal",
                                              "train.anneal_ess",
                                              "train.ppo_clip",
                                              "train.ppo_lambda",
                                              "train.ppo_value_weight",
                                              "exact.source",
                                              "exact.count",
                                              "run.seed"};

bool is_compared(std::string_view key, Purpose purpose, bool has_lora) {
  if (key == "model.dtype" || key == "twist.body" || key.starts_with("target.")) return true;
  if (key.starts_with("twist.lora_")) return has_lora;
  return purpose == Purpose::go_on_learning &&
         std::ranges::find(learning_keys, key) != std::ranges::end(learning_keys);
}

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

/// What two configurations, and two statements about them, do not agree on.
class Differences {
 public:
  Differences(Config& stored, Config& wanted) : stored_(fields_of(stored)), wanted_(fields_of(wanted)) {}

  void compare(std::string_view what, std::string_view stored, std::string_view wanted) {
    if (stored != wanted) add(what, stored, wanted);
  }
  void compare_key(std::string_view key) {
    const config::Field *stored = stored_.find(key), *wanted = wanted_.find(key);
    TWISTOR_ASSERT(stored != nullptr && wanted != nullptr, fmt::format("there is a key {}", key));
    if (!config::is_equal(*stored, *wanted))
      add(key, config::format_value(*stored), config::format_value(*wanted));
  }
  void compare_keys(Purpose purpose, bool has_lora) {
    for (const config::Field& field : stored_)
      if (is_compared(field.key, purpose, has_lora)) compare_key(field.key);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void add(std::string_view what, std::string_view stored, std::string_view wanted) {
    text_ += fmt::format("{}{} is '{}' in the checkpoint and '{}' in this run", text_.empty() ? "" : "; ",
                         what, stored, wanted);
  }
  config::Fields stored_, wanted_;
  std::string text_;
};

/// By tokens where the file has them, because one text may be given in two ways, and two tokenizers may make
/// different tokens of one text.
void compare_prompts(const store::Checkpoint& checkpoint, const Expectation& expected,
                     Differences& differences) {
  if (checkpoint.prompt == expected.prompt) return;
  differences.compare_key("prompt.text");
  differences.compare_key("prompt.ids");
  differences.compare_key("prompt.special_tokens");
  if (!checkpoint.prompt.empty())
    differences.compare("the prompt as tokens", fmt::format("{}", fmt::join(checkpoint.prompt, ",")),
                        fmt::format("{}", fmt::join(expected.prompt, ",")));
}

}  // namespace

void require_compatible(const store::Checkpoint& checkpoint, const Expectation& expected, Purpose purpose) {
  Config stored = stored_config(checkpoint), wanted = expected.config;
  Differences differences(stored, wanted);
  differences.compare("the language model's fingerprint", checkpoint.model_fingerprint,
                      expected.model_fingerprint);
  if (checkpoint.model_fingerprint != expected.model_fingerprint)
    differences.compare_key("model.padded_tokens");
  differences.compare("twist.form", checkpoint.twist_form, expected.config.twist.form);
  compare_prompts(checkpoint, expected, differences);
  differences.compare("the target", checkpoint.target_identity, expected.target_identity);
  if (purpose == Purpose::go_on_learning)
    differences.compare("train.objective", checkpoint.objective, expected.config.train.objective);
  differences.compare_keys(purpose, expected.config.twist.body == "lora");
  if (purpose == Purpose::go_on_learning && expected.config.train.trainer.decay != learn::Decay::none)
    differences.compare_key("train.updates");
  // Then every exact sample measures, and the twist must have learned from none of them.
  if (purpose == Purpose::use && expected.config.train.samples.positives == learn::Positives::weighted)
    differences.compare_key("train.positives");
  TWISTOR_CHECK(differences.text().empty(), ErrorKind::config, "resuming from a checkpoint",
                differences.text(), "set these back, or choose another run.output to start anew");
}

}  // namespace twistor::app
