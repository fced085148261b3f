// SPDX-License-Identifier: Apache-2.0
// The word index of Keras.
#include "twistor/text/keras_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/json.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/unicode_forms.hpp"

namespace twistor::text {

KerasWords KerasWords::parse(std::string_view json, const std::string& doing) {
  const nlohmann::json document = format::parse_json(json, doing);
  const format::JsonView view(document, doing);
  KerasWords result;
  result.filters_ = view.at("filters").string();
  if (!std::ranges::all_of(result.filters_, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    view.at("filters").fail("expected ASCII characters");
  const format::JsonView words = view.at("words");
  for (std::size_t i = 0; i < words.array_size(); ++i) {
    const format::JsonView item = words.item(i);
    const std::string& word = item.string();
    std::string lower = word;
    to_lower_case(lower);
    if (word.empty() || lower != word || word.find_first_of(result.filters_ + ' ') != std::string::npos)
      item.fail(fmt::format("expected a word in lower case without blanks, got {}", format::quote(word)));
    if (!result.ids_.emplace(word, static_cast<std::int64_t>(i) + 1).second)
      item.fail(fmt::format("{} is there twice", format::quote(word)));
  }
  return result;
}

KerasWords KerasWords::read(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  return parse({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()},
               "reading the words of " + file.string());
}

std::vector<std::int64_t> KerasWords::encode(std::string_view text) const {
  std::string lower(text);
  to_lower_case(lower);
  for (char& c : lower)
    if (filters_.find(c) != std::string::npos) c = ' ';
  std::vector<std::int64_t> ids;
  for (std::size_t begin = 0; begin < lower.size();) {
    const std::size_t end = std::min(lower.find(' ', begin), lower.size());
    const auto found = ids_.find(std::string_view(lower).substr(begin, end - begin));
    if (found != ids_.end()) ids.push_back(found->second);
    begin = end + 1;
  }
  return ids;
}

}  // namespace twistor::text
