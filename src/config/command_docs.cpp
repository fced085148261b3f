// SPDX-License-Identifier: Apache-2.0
// Completion for bash, and the manual page.
#include "twistor/config/command_docs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <variant>

namespace twistor::config {
namespace {

/// A bool is a flag where `is_flag_alone`.
CommandOption documented(const Field& field, bool is_flag_alone) {
  CommandOption out{field.key, std::string(field.about.meaning), {}, {}};
  out.is_flag = is_flag_alone && std::holds_alternative<bool*>(field.value);
  if (out.is_flag) return out;
  out.value = format_value(field);
  for (const std::string_view choice : choices(field)) out.choices.emplace_back(choice);
  return out;
}

/// "--name" of a flag, "--name=" of anything else.
std::string option_word(const CommandOption& option) {
  return "--" + option.name + (option.is_flag ? "" : "=");
}

/// What follows a command: its own options and the keys that it reads.
std::string words_of(const CommandDocs& command) {
  std::string out;
  for (const CommandOption& option : command.options) out += " " + option_word(option);
  for (const CommandOption& key : command.keys) out += " " + option_word(key);
  return out + " --help";
}

/// "  --a) words=...;;" for each option that has choices; those of one name in several commands together.
std::string cases_of_values(const ProgramDocs& program) {
  std::vector<std::pair<std::string, std::vector<std::string>>> cases;
  const auto add = [&](const CommandOption& option) {
    if (option.choices.empty()) return;
    auto found = std::ranges::find(cases, option.name, [](const auto& one) { return one.first; });
    if (found == cases.end()) found = cases.insert(cases.end(), {option.name, {}});
    for (const std::string& choice : option.choices)
      if (std::ranges::find(found->second, choice) == found->second.end()) found->second.push_back(choice);
  };
  for (const CommandDocs& command : program.commands) std::ranges::for_each(command.options, add);
  std::ranges::for_each(program.keys, add);
  std::string out;
  for (const auto& [name, choices] : cases)
    out += fmt::format("      --{}) words='{}' ;;\n", name, fmt::join(choices, " "));
  return out;
}

/// Text as roff shows it.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string roff_option(const CommandOption& option) {
  std::string out = fmt::format(".TP\n\\fB\\-\\-{}\\fR", roff(option.name));
  if (!option.is_flag) out += "=\\fIVALUE\\fR";
  out += "\n" + roff(option.meaning);
  if (!option.choices.empty()) out += roff(fmt::format(": {}", fmt::join(option.choices, ", ")));
  return out + (option.value.empty() ? "." : roff(fmt::format(" [{}].", option.value))) + "\n";
}

}  // namespace

CommandDocs command_docs(std::string_view name, std::string_view arguments, std::string_view summary,
                         std::span<const OptionGroup> groups) {
  CommandDocs out{std::string(name), std::string(arguments), std::string(summary)};
  for (const OptionGroup& group : groups)
    for (const Field& field : group.fields)
      (group.has_flags ? out.options : out.keys).push_back(documented(field, group.has_flags));
  return out;
}

std::string bash_completion(const ProgramDocs& program) {
  std::string names, options;
  for (const CommandDocs& command : program.commands) {
    names += (names.empty() ? "" : " ") + command.name;
    options += fmt::format("    {}) words='{}' ;;\n", command.name, words_of(command).substr(1));
  }
  // Bash splits words at '='.
  return fmt::format(
      R"(# bash completion for {0}; made by `{0} completion bash`.
_{0}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} option='' words=''
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W '{1} --help --version' -- "$word")
    return
  fi
  if [[ $word == = ]]; then
    option=$before word=
  elif [[ $before == = ]]; then
    option=${{COMP_WORDS[COMP_CWORD - 2]}}
  elif [[ $before == --* && $word != --* ]]; then
    option=$before
  fi
  if [[ -n $option ]]; then
    case $option in
{2}    esac
  elif [[ $word == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{3}    esac
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *= ]]; then compopt -o nospace 2>/dev/null || true; fi
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    compopt -o filenames 2>/dev/null || true
  fi
}}
complete -F _{0} {0}
)",
      program.name, names, cases_of_values(program), options);
}

std::string man_page(const ProgramDocs& program) {
  std::string title = program.name;
  std::ranges::transform(title, title.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  std::string out = fmt::format(".TH {} 1 \"\" \"{}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n",
                                title, roff(program.version), program.name, roff(program.summary));
  for (const CommandDocs& command : program.commands)
    out += fmt::format(".B {} {}\n{}\n.br\n", program.name, roff(command.name), roff(command.arguments));
  out += ".SH COMMANDS\n";
  for (const CommandDocs& command : program.commands) {
    out +=
        fmt::format(".SS {} {}\n{}.\n", roff(command.name), roff(command.arguments), roff(command.summary));
    for (const CommandOption& option : command.options) out += roff_option(option);
    std::vector<std::string> sections;
    for (const CommandOption& key : command.keys) {
      const std::string section = key.name.substr(0, key.name.rfind('.'));
      if (sections.empty() || sections.back() != section) sections.push_back(section);
    }
    if (!sections.empty())
      out += fmt::format(".PP\nKeys: {}.\n", roff(fmt::format("{}", fmt::join(sections, ", "))));
  }
  out += ".SH CONFIGURATION\n";
  std::string section;
  for (const CommandOption& key : program.keys) {
    const std::string its = key.name.substr(0, key.name.rfind('.'));
    if (its != section) out += fmt::format(".SS [{}]\n", roff(its));
    section = its;
    out += roff_option(key);
  }
  return out + program.epilogue;
}

}  // namespace twistor::config
