// SPDX-License-Identifier: Apache-2.0
// Labelled texts from files, and their fixed division into those that are learned from and those that test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace twistor::train_head {

struct Examples {
  std::vector<std::string> classes;  ///< in the order in which they came
  std::vector<std::string> texts;    ///< (n)
  std::vector<std::int64_t> labels;  ///< (n), which class
};

/// Adds every line of a file as a text of one class; empty lines are skipped. Throws Error(no_input) if it
/// cannot be read.
void add_lines(Examples& examples, const std::string& class_name, const std::filesystem::path& file);
/// Adds lines "class TAB text". Throws Error(no_input), or Error(data) naming the line.
void add_table(Examples& examples, const std::filesystem::path& file);

/// Whether example `index` tests: depends on the index alone (SplitMix64), a share of them in the long run.
[[nodiscard]] bool is_test(std::int64_t index, double share);

}  // namespace twistor::train_head
