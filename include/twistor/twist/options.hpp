// SPDX-License-Identifier: Apache-2.0
// The keys twist.*: what a twist is made of.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"
#include "twistor/model/condition.hpp"

namespace twistor::twist {

/// Whose hidden states the head reads.
enum class Body {
  base,  ///< the language model's
  copy,  ///< those of a copy that learns too
  lora,  ///< those of the language model with low-rank additions that learn
};
constexpr auto names_of(Body) {
  return std::array{Named{Body::base, "base"}, Named{Body::copy, "copy"}, Named{Body::lora, "lora"}};
}

struct FormOptions {
  std::string form = "mlp";  ///< see twist_forms()
  Body body = Body::base;
  std::int64_t lora_rank = 8;  ///< as model::LoraOptions, for body = lora
  double lora_alpha = 16;      ///< likewise
  std::string lora_targets;    ///< names separated by commas; empty: all matrices of the layers
  std::string adapter;         ///< folder of a PEFT adapter to start from; empty: none
  double init_scale = 0;       ///< as TwistOptions
  /// What the head sees beside the prefix: one twist then serves the targets of all observations.
  model::Condition condition = model::Condition::none;
  bool residual = false;             ///< the head learns what is added to the log psi of form = automaton
  std::int64_t ngram_order = 2;      ///< of the automaton's n-gram model: 1 or 2
  std::int64_t ngram_samples = 256;  ///< texts of p0 that it is fitted to
  /// Whether psi is computed: then there is nothing to learn, and no checkpoint.
  [[nodiscard]] bool is_computed() const { return form == "automaton"; }
  /// Whether an automaton of the potential has a part in psi.
  [[nodiscard]] bool has_automaton() const { return is_computed() || residual; }
  /// Whether psi = 1 before anything is learned, unless it starts from a checkpoint.
  [[nodiscard]] bool starts_at_one() const { return init_scale == 0 && !has_automaton(); }
  [[nodiscard]] bool has_body() const { return body != Body::base; }
  void visit_keys(const config::Visitor& visit);
};

/// What no key can know alone. `doing` says where the options were read. Throws Error(config).
void validate(const FormOptions& options, const std::string& doing);

}  // namespace twistor::twist
