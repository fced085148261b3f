// SPDX-License-Identifier: Apache-2.0
// Reading and writing the text of a configuration.
#include "twistor/config/ini.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"

namespace twistor::config {
namespace {

constexpr std::string_view blanks = " \t\r";

void set(const Field& field, std::string_view value, ValueSyntax syntax, const std::string& doing) {
  const std::string problem = assign(field, value, syntax);
  TWISTOR_CHECK(problem.empty(), ErrorKind::config, doing,
                fmt::format("{}: expected {}, got {:.200}", field.key, expectation(field), problem),
                "configs/reference.cfg explains every key");
}

/// "a" of "policy.a" or "policy.a.path"; empty if that is no section of the family.
std::string_view name_in(std::string_view family, std::string_view section_or_key) {
  if (!section_or_key.starts_with(family)) return {};
  section_or_key.remove_prefix(family.size());
  if (!section_or_key.starts_with('.')) return {};
  section_or_key.remove_prefix(1);
  const std::string_view name = section_or_key.substr(0, section_or_key.find('.'));
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  constexpr std::size_t longest = 64;
  return name.size() <= longest && name.find_first_not_of(letters) == std::string_view::npos
             ? name
             : std::string_view{};
}

// "[name]" with perhaps a comment after it.
std::string read_section(std::string_view line, const Fields& fields, const std::string& doing) {
  const std::size_t close = line.find(']');
  TWISTOR_CHECK(close != std::string_view::npos, ErrorKind::config, doing,
                "expected ']' after the name of a section");
  const std::string_view rest = trim(line.substr(close + 1), blanks);
  TWISTOR_CHECK(rest.empty() || rest.front() == '#', ErrorKind::config, doing,
                fmt::format("expected nothing after [section], got '{:.80}'", rest));
  std::string name(trim(line.substr(1, close - 1), blanks));
  const std::vector<std::string_view> known = fields.sections();
  TWISTOR_CHECK(std::ranges::find(known, name) != known.end(), ErrorKind::config, doing,
                fmt::format("unknown section [{:.80}]", name),
                fmt::format("sections: {}", fmt::join(known, ", ")));
  return name;
}

}  // namespace

std::set<std::string> named_sections(std::string_view family, std::string_view text,
                                     std::span<const Override> overrides) {
  std::set<std::string> names;
  const auto add = [&](std::string_view name) {
    if (!name.empty()) names.emplace(name);
  };
  // "policy.path" is a key of the section [policy], which has no name.
  const auto add_key = [&](std::string_view key) {
    if (std::ranges::count(key, '.') == 2) add(name_in(family, key));
  };
  while (!text.empty()) {
    const std::string_view line = trim(take_line(text), blanks);
    if (line.starts_with('[')) {
      const std::string_view section = trim(line.substr(1, line.find(']') - 1), blanks);
      if (std::ranges::count(section, '.') == 1) add(name_in(family, section));
    } else {
      add_key(trim(line.substr(0, line.find('=')), blanks));
    }
  }
  for (const Override& given : overrides) add_key(given.key);
  return names;
}

void read_text(std::string_view text, const std::string& name, const Fields& fields) {
  std::map<std::string_view, int> first_lines;  // where each key was set
  std::string section;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the mark that some editors put before UTF-8
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = trim(take_line(text), blanks);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const std::string doing = fmt::format("reading {}, line {}", name, number);
    if (line.front() == '[') {
      section = read_section(line, fields, doing);
      continue;
    }
    const std::size_t equals = line.find('=');
    TWISTOR_CHECK(equals != std::string_view::npos, ErrorKind::config, doing,
                  fmt::format("expected 'key = value', got '{:.80}'", line));
    std::string key(trim(line.substr(0, equals), blanks));
    if (key.find('.') == std::string::npos && !section.empty()) key = section + "." + key;
    const Field& field = fields.require(key, doing);
    const auto [previous, is_first] = first_lines.try_emplace(field.key, number);
    TWISTOR_CHECK(is_first, ErrorKind::config, doing,
                  fmt::format("{} is set a second time; line {} sets it already", key, previous->second),
                  "keep one of the two");
    set(field, line.substr(equals + 1), ValueSyntax::file, doing);
  }
}

void apply(std::span<const Override> overrides, const Fields& fields) {
  const std::string doing = "reading the command line";
  for (const Override& given : overrides)
    set(fields.require(given.key, doing), given.value, ValueSyntax::verbatim, doing);
}

std::string read_file(const std::filesystem::path& file) {
  constexpr std::size_t most_bytes = 1 << 20;
  const std::string doing = fmt::format("reading the configuration {}", file.string());
  std::ifstream stream(file, std::ios::binary);
  TWISTOR_CHECK(stream.is_open() && !std::filesystem::is_directory(file), ErrorKind::no_input, doing,
                "expected a file that can be read",
                "configs/ has examples; a path is taken relative to the current folder");
  std::string text(most_bytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  TWISTOR_CHECK(!stream.bad(), ErrorKind::no_input, doing, "the file cannot be read to its end");
  TWISTOR_CHECK(text.size() <= most_bytes, ErrorKind::config, doing,
                fmt::format("expected at most {} bytes, got more", most_bytes),
                "is it a configuration file?");
  return text;
}

std::string to_text(const Fields& fields) {
  std::string text;
  std::string_view section;
  for (const Field& field : fields) {
    if (field.section() != section) {
      section = field.section();
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    const std::string value = format_value(field);
    text += fmt::format("{} ={}{}\n", field.about.name, value.empty() ? "" : " ", value);
  }
  return text;
}

}  // namespace twistor::config
