// SPDX-License-Identifier: Apache-2.0
// Reading labelled texts.
#include "train_head/examples.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "twistor/base/error.hpp"

namespace twistor::train_head {
namespace {

template <class Take>
void for_each_line(const std::filesystem::path& path, Take take) {
  const std::string doing = "reading examples from " + path.string();
  std::ifstream file(path, std::ios::binary);
  TWISTOR_CHECK(file.is_open() && !std::filesystem::is_directory(path), ErrorKind::no_input, doing,
                "expected a file that can be read", "check the path");
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) take(line, fmt::format("{}, line {}", doing, number));
  }
  TWISTOR_CHECK(!file.bad(), ErrorKind::no_input, doing, "reading stopped before the end of the file");
}

void add(Examples& examples, const std::string& class_name, std::string text) {
  const auto found = std::ranges::find(examples.classes, class_name);
  examples.labels.push_back(found - examples.classes.begin());
  if (found == examples.classes.end()) examples.classes.push_back(class_name);
  examples.texts.push_back(std::move(text));
}

}  // namespace

void add_lines(Examples& examples, const std::string& class_name, const std::filesystem::path& file) {
  for_each_line(file, [&](const std::string& line, const std::string&) { add(examples, class_name, line); });
}

void add_table(Examples& examples, const std::filesystem::path& file) {
  for_each_line(file, [&](const std::string& line, const std::string& doing) {
    const std::size_t tab = line.find('\t');
    TWISTOR_CHECK(tab != std::string::npos && tab > 0, ErrorKind::data, doing,
                  "expected a class, a tab and a text");
    add(examples, line.substr(0, tab), line.substr(tab + 1));
  });
}

bool is_test(std::int64_t index, double share) {
  std::uint64_t x = static_cast<std::uint64_t>(index) + 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1p-53 < share;
}

}  // namespace twistor::train_head
