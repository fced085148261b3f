// Unfinished work on disk.
#include "twistor/store/kept_numbers.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "twistor/store/results.hpp"

namespace twistor::store {

void keep_numbers(const std::filesystem::path& file, std::string_view key, const std::vector<double>& numbers,
                  const std::string& config_text) {
  const auto bytes = std::as_bytes(std::span(numbers));
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  Results kept;
  kept.config_text = config_text;
  kept.arrays["key"] = Array<std::uint8_t>::flat({key.begin(), key.end()});
  kept.arrays["data"] = Array<std::uint8_t>::flat({first, first + bytes.size()});
  write_results(file, kept);
}

std::vector<double> load_kept_numbers(const std::filesystem::path& file, std::string_view key) {
  if (!std::filesystem::exists(file)) return {};
  const Results kept = load_results(file);
  const auto found = kept.arrays.find("key"), data = kept.arrays.find("data");
  if (found == kept.arrays.end() || data == kept.arrays.end()) return {};
  const auto& its_key = std::get<Array<std::uint8_t>>(found->second).values;
  if (!std::ranges::equal(its_key, std::vector<std::uint8_t>(key.begin(), key.end()))) return {};
  const auto& bytes = std::get<Array<std::uint8_t>>(data->second).values;
  std::vector<double> numbers(bytes.size() / sizeof(double));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

}  // namespace twistor::store
