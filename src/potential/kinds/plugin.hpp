// SPDX-License-Identifier: Apache-2.0
// phi by a shared object with the interface of twistor/plugin.h.
#pragma once

#include <memory>

#include "twistor/potential/registry.hpp"

namespace twistor::potential {

/// Of a shared object that reads texts alone; nullptr if it reads tokens. Reads `plugin`, `plugin_options`
/// and `beta`. Throws Error(config) where the file is no such object, lacks a function, has another version
/// or cannot make the potential; log_phi() of what is made throws Error(data) with the object's own words.
[[nodiscard]] std::unique_ptr<TextScorer> make_plugin_of_texts(const PotentialOptions& options,
                                                               const TargetContext& context);

/// Of one that reads tokens, or tokens and texts. Reads `scope` too, for texts. Throws likewise.
[[nodiscard]] std::unique_ptr<Potential> make_plugin_of_tokens(const PotentialOptions& options,
                                                               const TargetContext& context);

}  // namespace twistor::potential
