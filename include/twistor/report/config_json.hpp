// The configuration of a run as JSON.
#pragma once

#include <string>

#include "twistor/config/fields.hpp"

namespace twistor::report {

/// One object of objects, {"model": {"path": ...}, ...}; infinities become strings, as "-inf". *Local.*
[[nodiscard]] std::string to_json(const config::Fields& fields);

}  // namespace twistor::report
