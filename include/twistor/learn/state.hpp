// SPDX-License-Identifier: Apache-2.0
// Saving and restoring by one visit: what is written and what is read cannot drift apart.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Is shown every part of a state by name. One that saves only looks at the values, one that restores
/// replaces them, and throws Error(data) if it has no such part or one of another size.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  [[nodiscard]] virtual bool is_restoring() const = 0;
  virtual void count(std::string_view name, std::int64_t& value) = 0;
  virtual void text(std::string_view name, std::string& value) = 0;
  virtual void ids(std::string_view name, std::vector<std::int64_t>& value) = 0;
  virtual void numbers(std::string_view name, std::vector<double>& value) = 0;
  /// Saves numbers of the shape of a parameter: its "parameters", or its moments "adam_m" and "adam_v".
  virtual void save(std::string_view folder, const twist::Parameter& parameter,
                    std::span<const float> values) = 0;
  /// Those that are to be restored, as many as the parameter has.
  [[nodiscard]] virtual std::span<const float> saved(std::string_view folder,
                                                     const twist::Parameter& parameter) const = 0;
};

/// The part that those who use a twist need: its link and parameters. *Local.* Throws Error(config) if what
/// is restored has another link, and what the visitor throws.
void visit_twist(twist::Trainable& twist, StateVisitor& visitor);

}  // namespace twistor::learn
