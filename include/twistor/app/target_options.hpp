// From the section [target] of a configuration to what makes a potential.
#pragma once

#include <filesystem>

#include "twistor/app/config.hpp"
#include "twistor/target/options.hpp"

namespace twistor::app {

/// Copies every key that has an option of its name, and looks for the files that they name (input_path()).
/// *Local.*
[[nodiscard]] target::PotentialOptions target_options(const Config& config,
                                                      const std::filesystem::path& config_file);

}  // namespace twistor::app
