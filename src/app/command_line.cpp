// SPDX-License-Identifier: Apache-2.0
// Subcommands, their arguments and --help, by Boost.Program_options.
#include "twistor/app/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

#include "twistor/base/error.hpp"
#include "twistor/base/names.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/report/compare.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

namespace po = boost::program_options;

struct Description {
  std::string_view name;
  std::string_view arguments;
  std::string_view summary;
  bool is_configured;                       // takes a configuration
  bool is_parallel;                         // runs on many ranks
  std::vector<std::string_view> keys = {};  // sections, or single keys, that it reads
};

const std::vector<Description>& descriptions() {
  static const std::vector<Description> table = {
      {"train",
       "CONFIG [--section.key=value ...]",
       "learn a twist, with bounds of log Z before and after",
       true,
       true,
       {"model", "prompt", "target", "twist", "smc", "train", "evaluate", "exact", "run"}},
      {"evaluate",
       "CONFIG [--section.key=value ...]",
       "bounds of log Z and KL divergences of a checkpoint, and of policies",
       true,
       true,
       {"model", "prompt", "target", "twist", "smc", "policy", "evaluate", "exact", "run"}},
      {"sample",
       "CONFIG [--section.key=value ...]",
       "draw sequences of the target, with their weights",
       true,
       true,
       {"model", "prompt", "target", "twist", "smc", "policy", "evaluate.checkpoint", "sample", "run"}},
      {"score-text",
       "CONFIG (--text S ... | --file F) [--json]",
       "print what the potential says of texts",
       true,
       false,
       {"model", "prompt", "target"}},
      {"tokenize", "MODEL --text S [--special]", "print the token ids of a text as a JSON array", false,
       false},
      {"score", "MODEL (--text S | --ids I,J,...) [OPTIONS]",
       "print the log-probability of every token as JSON", false, false},
      {"compare", "RUN... [OPTIONS]", "put finished runs into one table, means over seeds", false, false},
      {"info", "PATH", "describe a model, a run's folder or any file of a run", false, false},
  };
  return table;
}

const Description* find_description(std::string_view name) {
  const auto found = std::ranges::find(descriptions(), name, &Description::name);
  return found == descriptions().end() ? nullptr : &*found;
}

constexpr const char* reading = "reading the command line";

std::string usage() {
  std::string text = "usage: twistor COMMAND ...\n\n";
  for (const Description& description : descriptions()) {
    text += fmt::format("  {:<10} {:<49} {}\n", description.name, description.arguments, description.summary);
  }
  return text +
         "\n`twistor COMMAND --help` says more; `twistor --version` prints the version. On P ranks:\n"
         "launch/mpirun.sh -n P -- twistor train configs/quickstart.cfg\n";
}

bool reads(const Description& command, const config::Field& field) {
  return std::ranges::any_of(
      command.keys, [&](std::string_view name) { return name == field.key || name == field.section(); });
}

void add_option(po::options_description& options, std::string_view name, const char* value,
                const std::string& meaning) {
  options.add_options()(std::string(name).c_str(), po::value<std::string>()->value_name(value),
                        meaning.c_str());
}

void add_field(po::options_description& options, const config::Field& field) {
  std::string meaning(field.about.meaning);
  const std::vector<std::string_view> choices = config::choices(field);
  if (choices.size() > 1) meaning += fmt::format(": {}", fmt::join(choices, ", "));
  const std::string value = config::format_value(field);
  if (!value.empty()) meaning += fmt::format(" [{}]", value);
  add_option(options, field.key, "arg", meaning);
}

/// The options of the command, and keys of the configuration by sections: those that it reads, for --help, or
/// all. A configuration serves several commands, so keys that this one does not read are no mistake.
po::options_description make_options(const Description& command, bool with_all_keys, Config defaults = {}) {
  constexpr unsigned width = 110;
  po::options_description options(width), own("Options", width);
  if (command.name == "tokenize" || command.name == "score") add_option(own, "text", "S", "the text");
  if (command.name == "tokenize")
    own.add_options()("special", "with the special tokens that the model expects around a text");
  if (command.name == "score-text") {
    add_option(own, "text", "S", "a text; may be given more than once");
    add_option(own, "file", "F",
               "texts, one a line; F.jsonl: JSON strings, or objects with a member \"text\"");
    own.add_options()("json", "print a JSON object for each text");
  }
  if (command.name == "score") {
    add_option(own, "ids", "I,J,...", "token ids, in place of a text");
    add_option(own, "dtype", "D", join_alternatives(choices_of<device::Precision>()) + " [float32]");
    add_option(own, "special-tokens", "A",
               "those in front of the text: auto (what the tokenizer says) or none [auto]");
    add_option(own, "padded-tokens", "A", "rows of the vocabulary that no token has: mask or keep [mask]");
  }
  if (command.name == "compare") {
    add_option(own, "by", "KEY",
               "the one key that tells rows apart, train.objective for instance [all that differ]");
    add_option(own, "format", "F", join_alternatives(choices_of<report::CompareFormat>()) + " [text]");
    add_option(own, "beside", "F.csv", "further columns: lines \"label,cell,...\", titles first");
    add_option(own, "output", "F.h5", "write the numbers as HDF5 too");
  }
  own.add_options()("help", "print this");
  options.add(own);
  if (!command.is_configured) return options;
  const config::Fields fields = fields_of(defaults);
  for (const std::string_view section : fields.sections()) {
    po::options_description group(fmt::format("[{}]", section), width);
    for (const config::Field& field : fields)
      if (field.section() == section && (with_all_keys || reads(command, field))) add_field(group, field);
    if (!group.options().empty()) options.add(group);
  }
  return options;
}

std::string help_of(const Description& command) {
  std::ostringstream text;
  text << fmt::format("usage: twistor {} {}\n\n{}.\n", command.name, command.arguments, command.summary);
  if (command.is_configured)
    text << "The keys that it reads; configs/reference.cfg explains them. Of two with one key the last "
            "counts.\n";
  text << make_options(command, false);
  return text.str();
}

// What follows the command, sorted.
struct Arguments {
  std::vector<std::string> files;
  std::vector<config::Override> settings;  // "--section.key=value", "--key=value": keys as written
  bool is_help = false;
};

Arguments split_arguments(std::span<const std::string> words, const Description& command) {
  std::vector<config::Override> named;  // "--policy.a.path" asks for the section [policy.a]
  for (const std::string& word : words)
    if (word.starts_with("--")) named.push_back({word.substr(2, word.find('=') - 2), {}});
  Config any;
  add_named_sections(any, {}, named);
  const po::options_description options = make_options(command, true, any);
  // Boost refuses "--key=" but takes an empty word as the value of "--key".
  std::vector<std::string> split;
  for (const std::string& word : words) {
    const bool is_empty_value =
        word.size() > 3 && word.starts_with("--") && word.find('=') == word.size() - 1;
    split.push_back(is_empty_value ? word.substr(0, word.size() - 1) : word);
    if (is_empty_value) split.emplace_back();
  }
  using style = po::command_line_style::style_t;
  Arguments arguments;
  try {
    const auto parsed = po::command_line_parser(split)
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
        const bool is_key = command.is_configured && option.string_key.find('.') != std::string::npos;
        TWISTOR_CHECK(!option.unregistered || is_key, ErrorKind::usage, reading,
                      fmt::format("unknown option --{}", option.string_key),
                      fmt::format("twistor {} --help lists the options", command.name));
        if (is_key) (void)fields_of(any).require(option.string_key, reading);
        arguments.settings.push_back(
            {option.string_key, option.value.empty() ? std::string{} : option.value.front()});
      }
    }
  } catch (const po::error& error) {
    throw Error(ErrorKind::usage, reading, error.what(), fmt::format("twistor {} --help", command.name));
  }
  return arguments;
}

/// One of the names that the value's enum has.
template <class Enum>
void set_choice(const config::Override& setting, Enum& value) {
  const std::optional<Enum> found = find_name<Enum>(setting.value);
  TWISTOR_CHECK(found.has_value(), ErrorKind::usage, reading,
                fmt::format("--{}: expected {}, got '{}'", setting.key, join_alternatives(choices_of<Enum>()),
                            setting.value));
  value = *found;
}

void set_option(const config::Override& setting, Invocation& invocation) {
  if (setting.key == "text") {
    invocation.text = setting.value;
  } else if (setting.key == "ids") {
    Config scratch;  // ids are written as in a configuration
    const std::string problem =
        config::assign(*fields_of(scratch).find("prompt.ids"), setting.value, config::ValueSyntax::verbatim);
    TWISTOR_CHECK(
        problem.empty() && !scratch.prompt.ids.empty(), ErrorKind::usage, reading,
        fmt::format("--ids: expected token ids separated by commas or blanks, got '{}'", setting.value));
    invocation.ids = scratch.prompt.ids;
  } else if (setting.key == "special") {
    invocation.is_special = true;
  } else if (setting.key == "special-tokens") {
    set_choice(setting, invocation.special_tokens);
  } else if (setting.key == "padded-tokens") {
    set_choice(setting, invocation.padded_tokens);
  } else {
    set_choice(setting, invocation.dtype);
  }
}

bool is_config_key(const config::Override& setting) {
  return setting.key.find('.') != std::string::npos;
}

// The configuration, and the options of score-text.
void read_configured(const Arguments& arguments, Invocation& invocation) {
  std::vector<config::Override> keys;
  for (const config::Override& setting : arguments.settings) {
    if (is_config_key(setting)) {
      keys.push_back(setting);
    } else if (setting.key == "text") {
      invocation.texts.push_back(setting.value);
    } else if (setting.key == "json") {
      invocation.is_json = true;
    } else {
      invocation.texts_file = config::output_path(setting.value);
    }
  }
  TWISTOR_CHECK(
      invocation.command != "score-text" || invocation.texts.empty() != invocation.texts_file.empty(),
      ErrorKind::usage, reading, "score-text needs --text, as often as you like, or else --file",
      "twistor score-text --help");
  invocation.config_file = arguments.files.front();
  invocation.config = load_config(invocation.config_file, keys);
}

void read_compare(const Arguments& arguments, Invocation& invocation) {
  for (const std::string& folder : arguments.files) invocation.paths.push_back(config::output_path(folder));
  for (const config::Override& setting : arguments.settings) {
    if (setting.key == "by") {
      invocation.by = setting.value;
    } else if (setting.key == "beside") {
      invocation.beside = config::output_path(setting.value);
    } else if (setting.key == "output") {
      invocation.output = config::output_path(setting.value);
    } else {
      set_choice(setting, invocation.format);
    }
  }
}

// The options of commands without a configuration.
void read_options(const Arguments& arguments, Invocation& invocation) {
  if (invocation.command == "compare") return read_compare(arguments, invocation);
  for (const config::Override& setting : arguments.settings) set_option(setting, invocation);
  invocation.path = config::output_path(arguments.files.front());
  const std::string hint = fmt::format("twistor {} --help", invocation.command);
  TWISTOR_CHECK(invocation.command != "tokenize" || invocation.text.has_value(), ErrorKind::usage, reading,
                "tokenize needs --text", hint);
  TWISTOR_CHECK(invocation.command != "score" || invocation.text.has_value() == invocation.ids.empty(),
                ErrorKind::usage, reading, "score needs exactly one of --text and --ids", hint);
}

}  // namespace

CommandLine read_command_line(std::span<const std::string> words) {
  TWISTOR_CHECK(!words.empty(), ErrorKind::usage, reading, "expected a command, got nothing", usage());
  if (words[0] == "--help" || words[0] == "help") return {usage(), {}};
  if (words[0] == "--version") return {store::program_name() + "\n", {}};
  const Description* command = find_description(words[0]);
  TWISTOR_CHECK(command != nullptr, ErrorKind::usage, reading, fmt::format("unknown command '{}'", words[0]),
                usage());

  const Arguments arguments = split_arguments(words.subspan(1), *command);
  if (arguments.is_help) return {help_of(*command), {}};
  const bool takes_many = command->name == "compare";
  TWISTOR_CHECK(
      takes_many ? !arguments.files.empty() : arguments.files.size() == 1, ErrorKind::usage, reading,
      fmt::format("{} takes {}, got {}{}", command->name, takes_many ? "folders of runs" : "one file",
                  arguments.files.size(),
                  arguments.files.size() < 2 ? "" : fmt::format(": the second is '{}'", arguments.files[1])),
      fmt::format("usage: twistor {} {}", command->name, command->arguments));
  Invocation invocation;
  invocation.command = command->name;
  if (command->is_configured) {
    read_configured(arguments, invocation);
  } else {
    read_options(arguments, invocation);
  }
  return {{}, std::move(invocation)};
}

bool wants_ranks(std::span<const std::string> words) noexcept {
  const Description* command = words.empty() ? nullptr : find_description(words[0]);
  return command != nullptr && command->is_parallel && std::ranges::find(words, "--help") == words.end();
}

}  // namespace twistor::app
