// SPDX-License-Identifier: Apache-2.0
// Reading what `twistor sample` wrote.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "twistor/base/error.hpp"
#include "twistor/format/json.hpp"
#include "twistor/report/sample_file.hpp"

namespace twistor::report {
namespace {

/// A number as JsonLine writes it: -inf is a text. Weights and phi are below infinity.
double number_in_row(const format::JsonView& row, const char* name) {
  const format::JsonView value = row.at(name);
  const nlohmann::json& json = row.object().at(name);
  if (json.is_string() && json == "-inf") return -std::numeric_limits<double>::infinity();
  return value.number();
}

}  // namespace

ReadSamples read_samples(const std::filesystem::path& path) {
  const std::string doing = fmt::format("reading samples from {}", path.string());
  std::ifstream file(path, std::ios::binary);
  TWISTOR_CHECK(file.is_open() && !std::filesystem::is_directory(path), ErrorKind::no_input, doing,
                "expected a file that can be read",
                "name what `twistor sample` wrote (sample.format = jsonl)");
  ReadSamples out;
  std::string line;
  std::int64_t n_populations = 1;
  std::size_t length = 0;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    const std::string here = fmt::format("{}, line {}", doing, number);
    const nlohmann::json json = format::parse_json(line, here);
    const format::JsonView row(json, here), ids = row.at("ids");
    for (std::size_t i = 0; i < ids.array_size(); ++i) out.tokens.push_back(ids.item(i).integer(0));
    out.log_weight.push_back(number_in_row(row, "log_weight"));
    n_populations = std::max(n_populations, row.at("population").integer(0, 1LL << 60) + 1);
    out.log_phi.push_back(number_in_row(row, "log_phi"));
    if (number == 1) length = ids.array_size();
    if (ids.array_size() != length) ids.fail(fmt::format("expected {} tokens, as before", length));
    if (row.find("prompt_index")) row.fail("it is one of many prompts", "sample from one prompt");
  }
  TWISTOR_CHECK(!file.bad(), ErrorKind::no_input, doing, "reading stopped before the end of the file");
  TWISTOR_CHECK(!out.log_weight.empty(), ErrorKind::data, doing, "there is no sample in it");
  for (double& x : out.log_weight) x -= std::log(static_cast<double>(n_populations));
  return out;
}

}  // namespace twistor::report
