// SPDX-License-Identifier: Apache-2.0
// The process potential: texts out, numbers in.
#include "process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/format/json.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_process = "making the potential 'process'";

double parse_number(const std::string& line, const std::string& text, const std::string& command) {
  const std::string_view number = trim(line);
  double value = 0;
  const auto [stop, status] = std::from_chars(number.data(), number.data() + number.size(), value);
  TWISTOR_CHECK(status == std::errc{} && stop == number.data() + number.size() && !std::isnan(value) &&
                    value < std::numeric_limits<double>::infinity(),
                ErrorKind::data, fmt::format("reading the answers of the command '{}'", command),
                fmt::format("to the text {} it said {} (expected a finite number or -inf)",
                            format::quote(text), format::quote(line)),
                "nothing but one number a line belongs on its standard output");
  return value;
}

}  // namespace

ProcessScorer::ProcessScorer(Options options)
    : options_(std::move(options)), process_(options_.command, options_.timeout_s) {
  TWISTOR_CHECK(!options_.command.empty(), ErrorKind::config, making_process, "there is no command",
                "set target.command, for instance target.command = python3 reward.py");
  TWISTOR_CHECK(options_.timeout_s > 0 && std::isfinite(options_.timeout_s), ErrorKind::config,
                making_process,
                fmt::format("target.timeout_s is {} (expected a positive number)", options_.timeout_s));
  TWISTOR_CHECK(options_.beta > 0, ErrorKind::config, making_process,
                fmt::format("target.beta is {} (expected a positive number)", options_.beta));
  TWISTOR_CHECK(options_.cap > -std::numeric_limits<double>::infinity(), ErrorKind::config, making_process,
                fmt::format("target.cap is {} (expected a finite number or inf)", options_.cap));
}

std::vector<double> ProcessScorer::log_phi(std::span<const std::string> texts) const {
  if (texts.empty()) return {};
  std::vector<std::string> lines;
  lines.reserve(texts.size());
  for (const std::string& text : texts)
    lines.push_back(fmt::format("{{\"text\": {}}}", format::json_string(text)));
  const std::lock_guard lock(mutex_);
  const std::vector<std::string> answers = process_.ask(lines);
  std::vector<double> result;
  result.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    result.push_back(options_.beta *
                     std::min(parse_number(answers[i], texts[i], options_.command), options_.cap));
  return result;
}

std::string ProcessScorer::description() const {
  return fmt::format("process: exp({} * what '{}' says)", options_.beta, options_.command);
}

std::unique_ptr<TextScorer> make_process(const PotentialOptions& options, const TargetContext&) {
  return std::make_unique<ProcessScorer>(
      ProcessScorer::Options{options.command, options.timeout_s, options.beta, options.cap});
}

}  // namespace twistor::potential
