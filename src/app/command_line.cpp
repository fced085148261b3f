// SPDX-License-Identifier: Apache-2.0
// Subcommands, their arguments and --help, by Boost.Program_options.
#include "twistor/app/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

#include "twistor/base/error.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

namespace po = boost::program_options;

struct Description {
  std::string_view name;
  std::string_view arguments;
  std::string_view summary;
  std::vector<std::string_view> keys = {};  // sections, or single keys, that it reads

  [[nodiscard]] bool is_configured() const { return !keys.empty(); }
  [[nodiscard]] bool is_parallel() const { return std::ranges::find(keys, "run") != keys.end(); }
};

const std::vector<Description>& descriptions() {
  constexpr std::string_view configured = "CONFIG [--section.key=value ...]";
  static const std::vector<Description> table = {
      {"train",
       configured,
       "learn a twist, with bounds of log Z before and after",
       {"model", "prompt", "target", "twist", "smc", "train", "evaluate", "exact", "run"}},
      {"distill",
       configured,
       "fine-tune the model towards the target, or away from it, in rounds",
       {"model", "prompt", "target", "twist", "smc", "train", "evaluate", "exact", "run"}},
      {"evaluate",
       configured,
       "bounds of log Z and KL divergences of a checkpoint, and of policies",
       {"model", "prompt", "target", "twist", "smc", "policy", "evaluate", "exact", "run"}},
      {"sample",
       configured,
       "draw sequences of the target, with their weights",
       {"model", "prompt", "target", "twist", "smc", "policy", "evaluate.checkpoint", "sample", "run"}},
      {"score-text",
       "CONFIG (--text S ... | --file F) [--json]",
       "print what the potential says of texts",
       {"model", "prompt", "target"}},
      {"tokenize", "MODEL (--text S [--special] | --messages JSON)",
       "print the token ids of a text as a JSON array, or messages as a text and its ids"},
      {"score", "MODEL (--text S | --ids I,J,...) [OPTIONS]",
       "print the log-probability of every token as JSON"},
      {"compare", "RUN... [OPTIONS]", "put finished runs into one table, means over seeds"},
      {"report", "RUN...", "make report.html of finished runs anew, one in each folder"},
      {"info", "PATH", "describe a model, a run's folder or any file of a run"},
  };
  return table;
}

/// What the command takes beside a configuration's keys; values go into `invocation`. An option given twice
/// takes the last; of --text all are kept, for the commands that want more than one.
std::vector<config::Field> own_options(std::string_view command, Invocation& invocation) {
  std::vector<config::Field> fields;
  const auto add = [&](const config::Key& about, const config::Value& value) {
    fields.push_back({std::string(about.name), about, value});
  };
  using config::key, config::Choice;
  if (command == "tokenize") {
    add(key("special", "with the special tokens that the model expects around a text"),
        &invocation.is_special);
    add(key("messages", "in place of a text, for the model's chat template"), &invocation.messages);
  }
  if (command == "score-text") {
    add(key("file", "texts, one a line; F.jsonl: JSON strings, or objects with a member \"text\""),
        &invocation.texts_file);
    add(key("json", "print a JSON object for each text"), &invocation.is_json);
  }
  if (command == "score") {
    add(key("ids", "token ids, in place of a text"), &invocation.ids);
    add(key("dtype", "arithmetic of the model's matrix products"), Choice(invocation.dtype));
    add(key("adapter", "a LoRA adapter (PEFT folder) for the model"), &invocation.adapter);
    add(key("special-tokens", "those that the tokenizer puts in front of the text"),
        Choice(invocation.special_tokens));
    add(key("padded-tokens", "rows of the vocabulary that no token has"), Choice(invocation.padded_tokens));
  }
  if (command == "compare") {
    add(key("by", "the one key that tells rows apart, train.objective for instance; else all that differ"),
        &invocation.by);
    add(key("format", "of the table"), Choice(invocation.format));
    add(key("beside", "a CSV file of further columns: lines \"label,cell,...\", titles first"),
        &invocation.beside);
    add(key("output", "write the numbers to this HDF5 file too"), &invocation.output);
  }
  return fields;
}

bool takes_text(std::string_view command) {
  return command == "tokenize" || command == "score" || command == "score-text";
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

void add_field(po::options_description& options, const config::Field& field, bool is_flag_alone = false) {
  std::string meaning(field.about.meaning);
  const std::vector<std::string_view> choices = config::choices(field);
  if (choices.size() > 1) meaning += fmt::format(": {}", fmt::join(choices, ", "));
  if (is_flag_alone && std::holds_alternative<bool*>(field.value)) {
    options.add_options()(field.key.c_str(), meaning.c_str());
    return;
  }
  const std::string value = config::format_value(field);
  if (!value.empty()) meaning += fmt::format(" [{}]", value);
  options.add_options()(field.key.c_str(), po::value<std::string>(), meaning.c_str());
}

/// The options of the command, and keys of the configuration by sections: those that it reads, for --help, or
/// all. A configuration serves several commands, so keys that this one does not read are no mistake.
po::options_description make_options(const Description& command, bool with_all_keys, Config defaults = {}) {
  constexpr unsigned width = 110;
  po::options_description options(width), own("Options", width);
  Invocation scratch;
  if (takes_text(command.name))
    own.add_options()("text", po::value<std::string>(),
                      command.name == "score-text" ? "a text; may be given more than once" : "the text");
  for (const config::Field& field : own_options(command.name, scratch)) add_field(own, field, true);
  own.add_options()("help", "print this");
  options.add(own);
  if (!command.is_configured()) return options;
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
  if (command.is_configured())
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
        const bool is_key = command.is_configured() && option.string_key.find('.') != std::string::npos;
        TWISTOR_CHECK(!option.unregistered || is_key, ErrorKind::usage, reading,
                      fmt::format("unknown option --{}", option.string_key),
                      fmt::format("twistor {} --help lists the options", command.name));
        if (is_key) (void)fields_of(any).require(option.string_key, reading);
        arguments.settings.push_back(
            {option.string_key, option.value.empty() ? std::string("true") : option.value.front()});
      }
    }
  } catch (const po::error& error) {
    throw Error(ErrorKind::usage, reading, error.what(), fmt::format("twistor {} --help", command.name));
  }
  return arguments;
}

/// Sets the command's own options; returns the settings of the configuration's keys.
std::vector<config::Override> read_own_options(const Arguments& arguments, Invocation& invocation) {
  const std::vector<config::Field> fields = own_options(invocation.command, invocation);
  std::vector<config::Override> keys;
  for (const config::Override& setting : arguments.settings) {
    const auto field = std::ranges::find(fields, setting.key, &config::Field::key);
    if (setting.key == "text") {
      invocation.texts.push_back(setting.value);
    } else if (field == fields.end()) {
      keys.push_back(setting);
    } else {
      const std::string problem = config::assign(*field, setting.value, config::ValueSyntax::verbatim);
      TWISTOR_CHECK(
          problem.empty(), ErrorKind::usage, reading,
          fmt::format("--{}: expected {}, got {}", setting.key, config::expectation(*field), problem));
    }
  }
  return keys;
}

/// What options cannot know of one another.
void require_complete(const Invocation& invocation) {
  const std::string hint = fmt::format("twistor {} --help", invocation.command);
  const bool has_text = !invocation.texts.empty();
  TWISTOR_CHECK(invocation.command != "tokenize" || has_text == invocation.messages.empty(), ErrorKind::usage,
                reading, "tokenize needs exactly one of --text and --messages", hint);
  TWISTOR_CHECK(invocation.command != "score" || has_text == invocation.ids.empty(), ErrorKind::usage,
                reading, "score needs exactly one of --text and --ids", hint);
  TWISTOR_CHECK(invocation.command != "score-text" || has_text == invocation.texts_file.empty(),
                ErrorKind::usage, reading, "score-text needs --text, as often as you like, or else --file",
                hint);
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
  const bool takes_many = command->name == "compare" || command->name == "report";
  TWISTOR_CHECK(
      takes_many ? !arguments.files.empty() : arguments.files.size() == 1, ErrorKind::usage, reading,
      fmt::format("{} takes {}, got {}{}", command->name, takes_many ? "folders of runs" : "one file",
                  arguments.files.size(),
                  arguments.files.size() < 2 ? "" : fmt::format(": the second is '{}'", arguments.files[1])),
      fmt::format("usage: twistor {} {}", command->name, command->arguments));
  Invocation invocation;
  invocation.command = command->name;
  const std::vector<config::Override> keys = read_own_options(arguments, invocation);
  require_complete(invocation);
  for (const std::string& file : arguments.files) invocation.paths.push_back(config::output_path(file));
  if (command->is_configured()) {
    invocation.config_file = arguments.files.front();
    invocation.config = load_config(invocation.config_file, keys);
  }
  return {{}, std::move(invocation)};
}

bool wants_ranks(std::span<const std::string> words) noexcept {
  const Description* command = words.empty() ? nullptr : find_description(words[0]);
  return command != nullptr && command->is_parallel() && std::ranges::find(words, "--help") == words.end();
}

}  // namespace twistor::app
