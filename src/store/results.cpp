// SPDX-License-Identifier: Apache-2.0
// Results as archives.
#include "twistor/store/results.hpp"

#include <string_view>
#include <utility>

namespace twistor::store {
namespace {

constexpr const char* results_kind = "results";
constexpr std::string_view array_prefix = "arrays/";

}  // namespace

void write_results(const std::filesystem::path& path, const Results& results, const WriteOptions& options) {
  ArchiveView view;
  view.datasets.emplace("config", view_of(results.config_text));
  for (const auto& [name, array] : results.arrays) {
    view.datasets.emplace(std::string(array_prefix) + name, view_of(array));
  }
  for (const auto& [name, value] : results.numbers) view.attributes.emplace("number." + name, value);
  for (const auto& [name, value] : results.counters) view.attributes.emplace("counter." + name, value);
  write_archive(path, view, results_kind, options);
}

Results load_results(const std::filesystem::path& path) {
  Archive archive = read_archive(path, results_kind);
  Results results;
  results.config_text = archive.dataset<std::string>("config");
  for (auto& [name, dataset] : archive.datasets) {
    if (name.starts_with(array_prefix))
      results.arrays.emplace(name.substr(array_prefix.size()), std::move(dataset));
  }
  for (const auto& [name, value] : archive.attributes) {
    const auto dot = name.find('.');
    if (dot == std::string::npos) continue;
    if (const auto* number = std::get_if<double>(&value))
      results.numbers.emplace(name.substr(dot + 1), *number);
    if (const auto* count = std::get_if<std::int64_t>(&value))
      results.counters.emplace(name.substr(dot + 1), *count);
  }
  return results;
}

}  // namespace twistor::store
