// SPDX-License-Identifier: Apache-2.0
// Unfinished work on disk.
#include "twistor/run/unfinished.hpp"

#include <fmt/format.h>

#include "twistor/base/digest.hpp"
#include "twistor/base/log.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/store/kept_numbers.hpp"

namespace twistor::run {

std::string work_key(const Session& session, std::string_view twist_form,
                     std::span<const twist::Parameter> parameters, const store::ExactSamples& exact) {
  Sha256 sha;
  const auto add_text = [&](std::string_view text) { sha.add(fmt::format("{}:{}\n", text.size(), text)); };
  add_text("numbers of version 5");  // of what is kept
  add_text(twist_form);
  for (const twist::Parameter& p : parameters) {
    add_text(p.name);
    sha.add(std::as_bytes(std::span(p.value)));
  }
  add_text(session.lm().fingerprint());
  add_text(session.potential_identity());
  sha.add(std::as_bytes(std::span(session.prompt())));
  if (!session.prompts().empty()) add_text(text::digest(session.prompts()));
  Config config = session.config();
  const bool is_many = !session.prompts().empty() || config.sweep.is_given();
  for (const config::Field& field : fields_of(config)) {
    const std::string_view key = field.key;
    if (key == "model.dtype" || key == "run.seed" || key == "evaluate.repeats" || key == "evaluate.samples" ||
        key == "train.positives" || key == "evaluate.enumerate_q" || key == "sample.count" ||
        key == "sample.from" || key == "sample.moves" || key.starts_with("target.") ||
        key.starts_with("smc.") || key.starts_with("twist.ngram_") ||
        (is_many && (key.starts_with("exact.") || key.starts_with("evaluate.") || key.starts_with("sweep."))))
      add_text(fmt::format("{}={}", key, config::format_value(field)));
  }
  sha.add(std::as_bytes(std::span(exact.tokens.values)));
  sha.add(std::as_bytes(std::span(exact.observations.values)));
  return sha.finish_hex();
}

Unfinished::Unfinished(const Session& session, const std::string& name, std::string key)
    : session_(session), file_(session.output(name)), key_(std::move(key)) {}

std::vector<double> Unfinished::load() const {
  std::vector<double> numbers;
  if (session_.is_root() && session_.config().run.resume != Resume::never) {
    try {
      numbers = store::load_kept_numbers(file_, key_);
    } catch (const std::exception& error) {
      log_warning(fmt::format("{}; this work begins anew", error.what()));
    }
  }
  comm::broadcast(numbers, 0, session_.world());
  return numbers;
}

void Unfinished::save(const std::vector<double>& numbers) const {
  if (session_.is_root()) store::keep_numbers(file_, key_, numbers, to_text(session_.config()));
}

void Unfinished::remove() const noexcept {
  std::error_code ignored;
  if (session_.is_root()) std::filesystem::remove(file_, ignored);
}

}  // namespace twistor::run
