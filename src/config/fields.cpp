// SPDX-License-Identifier: Apache-2.0
// Finding keys, and the nearest one to a wrong one.
#include "twistor/config/fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "twistor/base/error.hpp"

namespace twistor::config {
namespace {

// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

// The key nearest to a wrong one; empty if none is near.
std::string_view nearest_key(std::string_view wrong, const Fields& fields) {
  constexpr std::size_t longest = 64;  // of a name worth comparing; keeps the work bounded for any input
  if (wrong.size() > longest) return {};
  for (const Field& field : fields)  // the right name in the wrong section, or in none
    if (wrong.substr(wrong.rfind('.') + 1) == field.about.name) return field.key;
  const auto distance = [&](const Field& field) { return edit_distance(wrong, field.key); };
  const auto nearest = std::min_element(fields.begin(), fields.end(), [&](const Field& a, const Field& b) {
    return distance(a) < distance(b);
  });
  if (nearest == fields.end() || distance(*nearest) > std::max<std::size_t>(2, wrong.size() / 3)) return {};
  return nearest->key;
}

}  // namespace

const Field* Fields::find(std::string_view key) const {
  const auto found = std::ranges::find(fields_, key, &Field::key);
  return found == fields_.end() ? nullptr : &*found;
}

const Field& Fields::require(std::string_view key, const std::string& doing) const {
  const Field* field = find(key);
  if (field == nullptr) {
    const std::string_view nearest = nearest_key(key, *this);
    throw Error(ErrorKind::config, doing, fmt::format("unknown key '{:.80}'", key),
                nearest.empty() ? "configs/reference.cfg explains every key"
                                : fmt::format("did you mean {}?", nearest));
  }
  return *field;
}

std::vector<std::string_view> Fields::sections() const {
  std::vector<std::string_view> out;
  for (const Field& field : fields_)
    if (out.empty() || out.back() != field.section()) out.push_back(field.section());
  return out;
}

bool are_equal(const Fields& a, const Fields& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Field& x, const Field& y) { return x.key == y.key && is_equal(x, y); });
}

}  // namespace twistor::config
