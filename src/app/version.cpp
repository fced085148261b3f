// The version, which CMakeLists.txt knows.
#include "twistor/app/command_line.hpp"

namespace twistor::app {

std::string_view version() noexcept {
  return TWISTOR_VERSION;
}

}  // namespace twistor::app
