// SPDX-License-Identifier: Apache-2.0
// The regex potential.
#include "regex.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_regex = "making the potential 'regex'";

text::Regex compiled(const std::string& pattern) {
  TWISTOR_CHECK(!pattern.empty(), ErrorKind::config, making_regex, "there is no pattern",
                "set target.pattern");
  try {
    return text::Regex(pattern, making_regex);
  } catch (const Error& error) {
    throw Error(ErrorKind::config, "reading target.pattern", error.what(), error.hint());
  }
}

}  // namespace

RegexScorer::RegexScorer(const std::string& pattern, double log_floor)
    : regex_(compiled(pattern)), log_floor_(log_floor) {
  TWISTOR_CHECK(log_floor <= 0, ErrorKind::config, making_regex,
                fmt::format("target.log_floor is {} (expected at most 0; -inf is allowed)", log_floor));
}

std::vector<double> RegexScorer::log_phi(std::span<const std::string> texts) const {
  std::vector<double> result;
  result.reserve(texts.size());
  for (const std::string& text : texts) {
    try {
      result.push_back(regex_.search(text) ? 0 : log_floor_);
    } catch (const Error& error) {
      throw Error(error.kind(), "evaluating the potential 'regex' on the text " + format::quote(text),
                  error.what(), error.hint());
    }
  }
  return result;
}

std::string RegexScorer::description() const {
  return fmt::format("regex: 1 if {} matches, else exp({})", format::quote(regex_.pattern()), log_floor_);
}

std::optional<TextAutomaton> RegexScorer::automaton() const {
  return TextAutomaton{
      text::ByteAutomaton::of_pattern(regex_.pattern(), "making an automaton of target.pattern"), log_floor_};
}

std::unique_ptr<TextScorer> make_regex(const PotentialOptions& options, const TargetContext&) {
  TWISTOR_CHECK(options.beta > 0, ErrorKind::config, making_regex,
                fmt::format("target.beta is {} (expected a positive number)", options.beta));
  return std::make_unique<RegexScorer>(options.pattern, options.log_floor * options.beta);
}

}  // namespace twistor::potential
