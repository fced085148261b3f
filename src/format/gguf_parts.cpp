// SPDX-License-Identifier: Apache-2.0
// Finding the other parts of a model by its name.
#include "twistor/format/gguf_parts.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::format {
namespace {

constexpr std::int64_t most_parts = 99999;  // five digits

std::string ending(std::int64_t number, std::int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number, count);
}

}  // namespace

std::vector<std::filesystem::path> gguf_parts(const GgufFile& file, const std::filesystem::path& path) {
  const std::int64_t count = file.find_integer("split.count").value_or(1);
  if (count <= 1) return {path};
  const std::string doing = "reading " + path.string();
  const std::int64_t number = file.integer("split.no") + 1;
  TWISTOR_CHECK(count <= most_parts && number >= 1 && number <= count, ErrorKind::data, doing,
                fmt::format("split.no is {} and split.count is {}", number - 1, count),
                "the header is damaged");
  const std::string name = path.filename().string(), own_ending = ending(number, count);
  TWISTOR_CHECK(name.ends_with(own_ending), ErrorKind::data, doing,
                fmt::format("the file is part {} of {} of a model, and its name does not end in {}", number,
                            count, own_ending),
                "give all parts the names back that they were made with");
  const std::string stem = name.substr(0, name.size() - own_ending.size());
  std::vector<std::filesystem::path> parts;
  std::string missing;
  for (std::int64_t i = 1; i <= count; ++i) {
    parts.push_back(path.parent_path() / (stem + ending(i, count)));
    std::error_code unknown;
    if (!std::filesystem::exists(parts.back(), unknown))
      missing += (missing.empty() ? "" : ", ") + parts.back().filename().string();
  }
  TWISTOR_CHECK(missing.empty(), ErrorKind::no_input, doing,
                fmt::format("the file is one of {} parts of a model, and these are missing beside it: {}",
                            count, missing),
                "download the missing parts into the same folder");
  return parts;
}

GgufFile open_gguf_header(const std::filesystem::path& path) {
  GgufFile file = GgufFile::open(path);
  const std::filesystem::path first = gguf_parts(file, path).front();
  return first == path ? file : GgufFile::open(first);
}

}  // namespace twistor::format
