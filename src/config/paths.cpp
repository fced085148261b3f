// SPDX-License-Identifier: Apache-2.0
// Paths in configurations: the home folder, the cache, and where inputs are looked for.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "twistor/base/error.hpp"
#include "twistor/config/paths.hpp"

namespace twistor::config {
namespace {

// An environment variable, empty if not set.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string{} : value;
}

std::string home(const std::string& value) {
  std::string folder = variable("HOME");
  TWISTOR_CHECK(!folder.empty(), ErrorKind::config, fmt::format("expanding the path {}", value),
                "it needs the environment variable HOME, which is not set",
                "set HOME or write the whole path");
  return folder;
}

// What to do about a missing input whose value is an absolute path, or one in the cache.
std::string hint_for(const std::string& value) {
  constexpr std::string_view models = "${TWISTOR_CACHE}/models/";
  if (!value.starts_with(models)) return "is the path right?";
  const std::string rest = value.substr(models.size());
  const std::string name = rest.substr(0, rest.find('/'));
  if (std::ranges::find(fetched_models, name) != std::end(fetched_models))
    return fmt::format("launch/get_model.sh {} fetches it", name);
  return "put it there yourself; launch/get_model.sh --list shows what can be fetched";
}

}  // namespace

std::filesystem::path output_path(const std::string& value) {
  constexpr std::string_view cache_name = "${TWISTOR_CACHE}";
  std::string path = value;
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, home(value));
  if (const std::size_t begin = path.find(cache_name); begin != std::string::npos) {
    std::string cache = variable("TWISTOR_CACHE");
    if (cache.empty()) cache = home(value) + "/.cache/twistor";
    path.replace(begin, cache_name.size(), cache);
  }
  TWISTOR_CHECK(path.find("${") == std::string::npos, ErrorKind::config,
                fmt::format("expanding the path {}", value), "expected no variable but one ${TWISTOR_CACHE}",
                "write the whole path");
  return path;
}

std::filesystem::path input_path(const std::string& value, const std::filesystem::path& config_file,
                                 std::string_view key) {
  const std::filesystem::path path = output_path(value);
  std::error_code failure;  // "cannot tell" counts as "not there": the message below names the place
  if (std::filesystem::exists(path, failure)) return path;
  const std::string hint =
      "paths are taken relative to the current folder, then to the parent of the configuration's folder";
  const std::string doing = fmt::format("looking for {} = {}", key, value);
  TWISTOR_CHECK(path.is_relative() && !config_file.empty(), ErrorKind::no_input, doing,
                fmt::format("{} does not exist", path.string()), path.is_relative() ? hint : hint_for(value));
  const std::filesystem::path second =
      std::filesystem::absolute(config_file).parent_path().parent_path() / path;
  TWISTOR_CHECK(
      std::filesystem::exists(second, failure), ErrorKind::no_input, doing,
      fmt::format("neither {} nor {} exists", std::filesystem::absolute(path).string(), second.string()),
      hint);
  return second;
}

}  // namespace twistor::config
