// Writing configurations as JSON.
#include "twistor/report/config_json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <variant>

namespace twistor::report {

std::string to_json(const config::Fields& fields) {
  nlohmann::ordered_json json;
  for (const config::Field& field : fields) {
    nlohmann::ordered_json& place = json[std::string(field.section())][std::string(field.about.name)];
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_pointer_v<T>) {
            place = *value;
          } else {
            place = value.get();
          }
          if constexpr (std::is_same_v<T, double*>) {
            if (std::isinf(*value)) place = config::format_value(field);
          }
        },
        field.value);
  }
  // A prompt need not be UTF-8; JSON must be.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace twistor::report
