// SPDX-License-Identifier: Apache-2.0
// The keys twist.*.
#include "twistor/twist/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/twist/head.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::twist {

void FormOptions::visit_keys(const config::Visitor& visit) {
  using config::key, config::learning;
  visit(config::choice("form", "head on hidden states", twist_forms()), &form);
  visit(key("body", "whose hidden states: the base model's, or those of a learned copy"),
        config::Choice(body));
  visit(key("condition", "what the twist sees beside the text: the observed tokens or class"),
        config::Choice(condition));
  visit(key("lora_rank", "body = lora: rank of what is added to each matrix", {1, 65536}), &lora_rank);
  visit(key("lora_alpha", "body = lora: what is added is scaled by lora_alpha / lora_rank", config::positive),
        &lora_alpha);
  visit(key("lora_targets", "body = lora: names of the matrices, empty: all of the layers"), &lora_targets);
  visit(
      learning(config::input("adapter", "body = lora: folder of a PEFT adapter to start from, empty: none")),
      &adapter);
  visit(learning(key("init_scale", "factor on the spread of the output layer's initial weights; 0: psi = 1",
                     config::non_negative)),
        &init_scale);
  visit(key("residual", "the head learns what is added to the log psi of form = automaton"), &residual);
  visit(key("ngram_order", "form = automaton: order of the n-gram model that stands for p0", {1, 2}),
        &ngram_order);
  visit(key("ngram_samples", "form = automaton: texts of p0 that it is fitted to", {1, 1048576}),
        &ngram_samples);
}

void validate(const FormOptions& options, const std::string& doing) {
  TWISTOR_CHECK(
      !options.residual || std::ranges::count(head_forms(), options.form) > 0, ErrorKind::config, doing,
      fmt::format("twist.residual = true learns a head on top of a computed twist, and twist.form is {}",
                  options.form),
      fmt::format("set twist.form = {}, or twist.residual = false", fmt::join(head_forms(), ", ")));
  TWISTOR_CHECK(options.adapter.empty() || options.body == Body::lora, ErrorKind::config, doing,
                fmt::format("twist.adapter names an adapter to start from, and twist.body is {}",
                            name_of(options.body)),
                "set twist.body = lora, or leave twist.adapter empty");
  TWISTOR_CHECK(
      !options.has_automaton() || (!options.has_body() && options.condition == model::Condition::none),
      ErrorKind::config, doing,
      fmt::format("{} is computed for one target from the tokens alone, and twist.body is {}, "
                  "twist.condition {}",
                  options.residual ? "the twist of twist.residual = true" : "twist.form = automaton",
                  name_of(options.body), name_of(options.condition)),
      "leave twist.body = base and twist.condition = none, or choose a form that learns");
}

}  // namespace twistor::twist
