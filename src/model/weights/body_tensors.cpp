// SPDX-License-Identifier: Apache-2.0
// Names and values of a decoder's stored tensors.
#include "body_tensors.hpp"

#include <string_view>

namespace twistor::model {

std::string module_name(const format::TensorInfo& tensor) {
  constexpr std::string_view ending = ".weight";
  std::string name = tensor.name;
  if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  return name;
}

std::string last_name(const format::TensorInfo& tensor) {
  const std::string module = module_name(tensor);
  return module.substr(module.rfind('.') + 1);
}

}  // namespace twistor::model
