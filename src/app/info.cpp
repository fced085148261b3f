// SPDX-License-Identifier: Apache-2.0
// `twistor info`: what a file or folder is, in people's words.
#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/describe.hpp"
#include "twistor/report/describe.hpp"

namespace twistor::app {

std::string describe(const std::filesystem::path& path) {
  TWISTOR_CHECK(std::filesystem::exists(path), ErrorKind::no_input,
                fmt::format("looking at {}", path.string()), "there is no such file or folder");
  const bool is_model =
      std::filesystem::is_directory(path) ? !report::is_run_folder(path) : model::is_gguf(path);
  return is_model ? model::describe_model(path) : report::describe(path);
}

int info(const Invocation& invocation) {
  fmt::print("{}", describe(invocation.paths.front()));
  return 0;
}

}  // namespace twistor::app
