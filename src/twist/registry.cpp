// SPDX-License-Identifier: Apache-2.0
// The registry of trainable twists. A new kind: one header, one source, one line in the table here.
#include "twistor/twist/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string>

#include "twistor/base/error.hpp"
#include "twistor/twist/automaton.hpp"
#include "twistor/twist/body.hpp"
#include "twistor/twist/head.hpp"
#include "twistor/twist/ratio.hpp"
#include "twistor/twist/residual.hpp"

namespace twistor::twist {
namespace {

struct Kind {
  std::span<const std::string_view> forms;
  std::unique_ptr<Trainable> (*make)(std::string_view form, const TwistOptions& options);
};

std::unique_ptr<Trainable> make_head(std::string_view form, const TwistOptions& o) {
  if (o.automaton_values != nullptr) return std::make_unique<ResidualTwist>(form, o);
  if (o.body != nullptr) return std::make_unique<BodyTwist>(form, o);
  return std::make_unique<HeadTwist>(form, o);
}

std::unique_ptr<Trainable> make_ratio(std::string_view, const TwistOptions& o) {
  return std::make_unique<RatioTwist>(o);
}

std::unique_ptr<Trainable> make_automaton(std::string_view, const TwistOptions& o) {
  return std::make_unique<AutomatonTwist>(o);
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> table = {
      {head_forms(), make_head},
      {ratio_forms(), make_ratio},
      {automaton_forms(), make_automaton},
  };
  return table;
}

}  // namespace

std::vector<std::string_view> twist_forms() {
  std::vector<std::string_view> out;
  for (const Kind& kind : kinds()) out.insert(out.end(), kind.forms.begin(), kind.forms.end());
  return out;
}

std::unique_ptr<Trainable> make_twist(std::string_view form, const TwistOptions& options) {
  for (const Kind& kind : kinds())
    if (std::ranges::find(kind.forms, form) != kind.forms.end()) return kind.make(form, options);
  throw Error(ErrorKind::config, "making the twist",
              fmt::format("twist.form is \"{}\", expected {}", form, fmt::join(twist_forms(), ", ")));
}

}  // namespace twistor::twist
