// SPDX-License-Identifier: Apache-2.0
// Options by Boost.Program_options.
#include "twistor/config/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/program_options.hpp>
#include <sstream>

#include "twistor/base/error.hpp"

namespace twistor::config {
namespace {

namespace po = boost::program_options;

constexpr unsigned help_width = 110;

void add_option(po::options_description& options, const Field& field, bool is_flag) {
  std::string meaning(field.about.meaning);
  const std::vector<std::string_view> names = choices(field);
  if (names.size() > 1) meaning += fmt::format(": {}", fmt::join(names, ", "));
  if (is_flag) {
    options.add_options()(field.key.c_str(), meaning.c_str());
    return;
  }
  const std::string value = format_value(field);
  if (!value.empty()) meaning += fmt::format(" [{}]", value);
  options.add_options()(field.key.c_str(), po::value<std::string>(), meaning.c_str());
}

/// --help stands last in the first group.
po::options_description to_boost(std::span<const OptionGroup> groups) {
  po::options_description all(help_width);
  for (const OptionGroup& group : groups) {
    po::options_description options(group.title, help_width);
    for (const Field& field : group.fields)
      add_option(options, field, group.has_flags && std::holds_alternative<bool*>(field.value));
    if (&group == groups.data()) options.add_options()("help", "print this");
    if (!options.options().empty()) all.add(options);
  }
  return all;
}

/// Boost refuses "--key=" but takes an empty word as the value of "--key".
std::vector<std::string> with_empty_values_apart(std::span<const std::string> words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    const bool is_empty_value =
        word.size() > 3 && word.starts_with("--") && word.find('=') == word.size() - 1;
    out.push_back(is_empty_value ? word.substr(0, word.size() - 1) : word);
    if (is_empty_value) out.emplace_back();
  }
  return out;
}

}  // namespace

std::string describe_options(std::span<const OptionGroup> groups) {
  std::ostringstream text;
  text << to_boost(groups);
  return text.str();
}

Arguments read_arguments(std::span<const std::string> words, std::span<const OptionGroup> groups,
                         const std::string& command) {
  const po::options_description options = to_boost(groups);
  using style = po::command_line_style::style_t;
  Arguments arguments;
  try {
    const auto parsed = po::command_line_parser(with_empty_values_apart(words))
                            .options(options)
                            .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                            .allow_unregistered()
                            .run();
    for (const auto& option : parsed.options) {
      if (option.position_key >= 0) {
        arguments.files.insert(arguments.files.end(), option.value.begin(), option.value.end());
      } else if (option.string_key == "help") {
        arguments.is_help = true;
      } else {
        if (option.unregistered) arguments.unknown.push_back(option.string_key);
        arguments.settings.push_back(
            {option.string_key, option.value.empty() ? std::string("true") : option.value.front()});
      }
    }
  } catch (const po::error& error) {
    throw Error(ErrorKind::usage, "reading the command line", error.what(),
                fmt::format("twistor {} --help", command));
  }
  return arguments;
}

}  // namespace twistor::config
