// SPDX-License-Identifier: Apache-2.0
// Trainable twists by the name of their form: the registry that a new kind adds one line to.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "twistor/device/engine.hpp"
#include "twistor/model/trainable_decoder.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

class AutomatonValues;

/// What a twist is made for, and how it starts.
struct TwistOptions {
  std::int64_t width = 0;       ///< D, of the language model's hidden states
  std::int64_t vocab_size = 0;  ///< V
  device::Precision precision = device::Precision::float32;
  double init_scale = 0;  ///< factor on the spread of the last layer's initial weights; 0: psi = 1
  std::uint64_t seed = 1;
  Link link = Link::identity;
  bool has_value = false;  ///< a value of hidden states is learned too, linear in h / rms(h), 0 at first
  /// The language model's.
  std::shared_ptr<const device::Engine> engine = device::cpu_engine();
  /// The language model's output embedding (V, D), nullptr if it has none; must outlive the twist.
  const device::Weight* output_matrix = nullptr;
  /// Of a hidden state: where the D columns begin that the head reads.
  std::int64_t first_column = 0;
  /// Columns after these that the head reads too: the encoding of an observation (model::ConditionedModel).
  std::int64_t condition_width = 0;
  /// What makes those columns, if they are the twist's own: its weights are parameters too.
  std::shared_ptr<model::TrainableDecoder> body = nullptr;
  std::vector<std::int64_t> prompt{};   ///< that all texts continue; for twists with a body
  bool body_reads_observation = false;  ///< the body makes those further columns, too
  /// p0 without its end rule, whose hidden states stand in the first columns; must outlive the twist. For
  /// form = ratio.
  const model::LanguageModel* base = nullptr;
  /// Where the output matrix of a head lies: once for all processes of a node, which then make the same
  /// twists and call refresh() together. Empty: in each one's own memory.
  CommonMemoryMaker common_memory{};
  /// What form = automaton looks up; its columns begin at first_column. A head learns what is added to it.
  std::shared_ptr<const AutomatonValues> automaton_values = nullptr;
};

/// The twist of that form; the same options give the same parameters. Throws Error(config) on an unknown name
/// (listing the known), and if the form needs what the model has not. *Local.*
[[nodiscard]] std::unique_ptr<Trainable> make_twist(std::string_view form, const TwistOptions& options);

/// The registered forms, as twist.form takes them.
[[nodiscard]] std::vector<std::string_view> twist_forms();

}  // namespace twistor::twist
