// What is said about a name that nothing has.
#include "twistor/base/names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace twistor {

void fail_unknown_name(std::string_view name, const std::vector<std::string_view>& known,
                       const std::string& doing) {
  throw Error(ErrorKind::config, doing,
              fmt::format("expected {}{}, got '{:.80}'", known.size() > 1 ? "one of: " : "",
                          fmt::join(known, ", "), name));
}

}  // namespace twistor
