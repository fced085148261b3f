// Trainable twists by the name of their form: the registry that a new kind adds one line to.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "twistor/device/engine.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

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
};

/// The twist of that form; the same options give the same parameters. Throws Error(config) on an unknown name
/// (listing the known), and if the form needs what the model has not. *Local.*
[[nodiscard]] std::unique_ptr<Trainable> make_twist(std::string_view form, const TwistOptions& options);

/// The registered forms, as twist.form takes them.
[[nodiscard]] std::vector<std::string_view> twist_forms();

}  // namespace twistor::twist
