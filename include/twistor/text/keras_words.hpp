// SPDX-License-Identifier: Apache-2.0
// Words to ids as the Tokenizer of Keras does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::text {

/// *Local*, immutable. There is no way back from ids to text, so this is no Tokenizer.
class KerasWords {
 public:
  /// Reads {"filters": "...", "words": [...]}: characters that count as blanks, and the words with ids 1, 2,
  /// ... Throws Error(data) with `doing` on anything else: a word twice, empty, with a blank inside or not in
  /// lower case.
  static KerasWords parse(std::string_view json, const std::string& doing);
  /// The same from a file. Throws Error(no_input) if it cannot be read.
  static KerasWords read(const std::filesystem::path& file);

  /// Number of words; ids are 1 to this.
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }
  /// The text in lower case, filtered characters become blanks, cut at blanks (U+0020 alone); words that are
  /// not known are left out.
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text) const;

 private:
  std::string filters_;  // ASCII
  std::map<std::string, std::int64_t, std::less<>> ids_;
};

}  // namespace twistor::text
