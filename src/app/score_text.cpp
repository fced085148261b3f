// SPDX-License-Identifier: Apache-2.0
// `twistor score-text`: what the potential of a configuration says of given texts.
#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/base/log.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/text_lines.hpp"
#include "twistor/potential/text_scores.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/run/session.hpp"

namespace twistor::app {

int score_text(const Invocation& invocation) {
  const std::vector<std::string> texts = invocation.texts_file.empty()
                                             ? invocation.texts
                                             : format::read_texts(config::output_path(invocation.texts_file));
  const run::Config& config = invocation.config;
  const potential::TextScores scores(
      potential::with_inputs_found(config.target, invocation.config_file),
      {.model = [&] { return config::input_path(config.model.path, invocation.config_file, "model.path"); },
       .precision = config.model.dtype,
       .padded_tokens = config.model.padded_tokens,
       .context = config.model.context,
       .prompt = config.prompt},
      target_context(config, nullptr, nullptr));
  if (!scores.warning().empty()) log_warning(scores.warning());
  const std::vector<double> values = scores.log_phi(texts);
  if (!invocation.is_json) fmt::print("{}\n", scores.description());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (invocation.is_json)
      fmt::print("{}\n", report::JsonLine().add("text", texts[i]).add("log_phi", values[i]).text());
    else
      fmt::print("{:12.6f}  {}\n", values[i], format::quote(texts[i]));
  }
  return 0;
}

}  // namespace twistor::app
