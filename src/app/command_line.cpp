// SPDX-License-Identifier: Apache-2.0
// Subcommands, their arguments and --help.
#include "twistor/app/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/config/arguments.hpp"
#include "twistor/config/command_docs.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

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
       {"model", "prompt", "target", "twist", "smc", "policy", "evaluate", "sweep", "exact", "run"}},
      {"sample",
       configured,
       "draw sequences of the target, with their weights",
       {"model", "prompt", "target", "twist", "smc", "policy", "evaluate.checkpoint", "sample", "run"}},
      {"scale",
       "CONFIG --ranks P [OPTIONS]",
       "forecast seconds, memory and messages on many ranks",
       {"model", "prompt", "target", "twist", "smc", "train", "evaluate.checkpoint", "run"}},
      {"score-text",
       "CONFIG (--text S ... | --file F) [--json]",
       "print what the potential says of texts",
       {"model", "prompt", "target"}},
      {"tokenize", "MODEL (--text S [--special] | --messages JSON)",
       "print the token ids of a text as a JSON array, or messages as a text and its ids"},
      {"score", "MODEL (--text S | --ids I,J,...) [OPTIONS]",
       "print the log-probability of every token as JSON"},
      {"compare", "RUN... [OPTIONS]", "put finished runs into one table, means over seeds"},
      {"report", "RUN... [OPTIONS]",
       "make report.html of finished runs anew; of several, put them into one page or table"},
      {"watch", "RUN [--once]", "follow a run while it goes on: its course, and the time left"},
      {"info", "PATH", "describe a model, a run's folder or any file of a run"},
      {"completion", "bash", "print what completes words in bash: source <(twistor completion bash)"},
      {"man", "", "print the manual page: twistor man | man -l -"},
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
  if (command == "scale") invocation.scale.visit_keys(add);
  if (command == "watch") add(key("once", "show what there is, and end"), &invocation.is_once);
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
  const bool is_report = command == "report";
  if (command == "compare" || is_report) {
    add(key("by", "the one key that tells rows apart, train.objective for instance; else all that differ"),
        &invocation.by);
    add(key("format", "of the table"), Choice(is_report ? invocation.page_format : invocation.format));
    add(key("beside", "a CSV file of further columns: lines \"label,cell,...\", titles first"),
        &invocation.beside);
    add(key("output", is_report ? "write the table of several runs to this file; of html: comparison.html"
                                : "write the numbers to this HDF5 file too"),
        &invocation.output);
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

constexpr std::string_view manual_end = R"(.SH EXIT STATUS
0: no work is left. 64: wrong words; 65: a damaged file; 66: a file that is not there; 70: a mistake in twistor;
74: reading or writing failed; 75: a signal ended the run, and the same command resumes it; 78: the configuration.
.SH ENVIRONMENT
TWISTOR_CACHE: where models are looked for. TWISTOR_ISA: avx2, avx512, avx512_bf16 or amx_bf16, in place of the best.
.SH SEE ALSO
configs/reference.cfg explains every key; README.md and docs/ of the sources.
)";

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

/// The options of a command, and the keys of a configuration by sections: those that the command reads, for
/// --help, or all. A configuration serves several commands, so keys that one does not read are no mistake.
class CommandOptions {
 public:
  CommandOptions(const Description& command, bool with_all_keys, run::Config defaults = {})
      : defaults_(std::move(defaults)) {
    std::vector<config::Field> own = own_options(command.name, scratch_);
    const bool takes_many = command.name == "score-text";
    if (takes_text(command.name))
      own.insert(
          own.begin(),
          {"text", config::key("text", takes_many ? "a text; may be given more than once" : "the text"),
           &text_});
    groups_.push_back({"Options", std::move(own), true});
    if (!command.is_configured()) return;
    const config::Fields fields = fields_of(defaults_);
    for (const std::string_view section : fields.sections()) {
      config::OptionGroup& group = groups_.emplace_back(fmt::format("[{}]", section));
      for (const config::Field& field : fields)
        if (field.section() == section && (with_all_keys || reads(command, field)))
          group.fields.push_back(field);
    }
  }
  CommandOptions(const CommandOptions&) = delete;
  CommandOptions& operator=(const CommandOptions&) = delete;

  [[nodiscard]] std::span<const config::OptionGroup> groups() const { return groups_; }

 private:
  run::Config defaults_;  // what the groups' values point into, with scratch_ and text_
  Invocation scratch_;
  std::string text_;
  std::vector<config::OptionGroup> groups_;
};

std::string help_of(const Description& command) {
  std::string text =
      fmt::format("usage: twistor {} {}\n\n{}.\n", command.name, command.arguments, command.summary);
  if (command.is_configured())
    text +=
        "The keys that it reads; configs/reference.cfg explains them. Of two with one key the last counts.\n";
  return text + config::describe_options(CommandOptions(command, false).groups());
}

config::Arguments split_arguments(std::span<const std::string> words, const Description& command) {
  std::vector<config::Override> named;  // "--policy.a.path" asks for the section [policy.a]
  for (const std::string& word : words)
    if (word.starts_with("--")) named.push_back({word.substr(2, word.find('=') - 2), {}});
  run::Config any;
  run::add_named_sections(any, {}, named);
  config::Arguments arguments =
      config::read_arguments(words, CommandOptions(command, true, any).groups(), std::string(command.name));
  for (const std::string& key : arguments.unknown) {
    if (command.is_configured() && key.find('.') != std::string::npos)
      (void)fields_of(any).require(key, reading);  // names the nearest
    throw Error(ErrorKind::usage, reading, fmt::format("unknown option --{}", key),
                fmt::format("twistor {} --help lists the options", command.name));
  }
  return arguments;
}

/// Sets the command's own options; returns the settings of the configuration's keys.
std::vector<config::Override> read_own_options(const config::Arguments& arguments, Invocation& invocation) {
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

/// What `completion` and `man` print.
std::string docs_for(std::span<const std::string> words) {
  config::ProgramDocs docs{"twistor", store::program_name(),
                           "twisted Sequential Monte Carlo for language models", std::string(manual_end)};
  for (const Description& one : descriptions())
    docs.commands.push_back(
        config::command_docs(one.name, one.arguments, one.summary, CommandOptions(one, false).groups()));
  docs.keys = config::command_docs({}, {}, {}, CommandOptions(descriptions().front(), true).groups()).keys;
  if (words[0] == "man" && words.size() == 1) return config::man_page(docs);
  TWISTOR_CHECK(words[0] == "completion" && words.size() == 2 && words[1] == "bash", ErrorKind::usage,
                reading, fmt::format("expected `completion bash` or `man`, got `{}`", fmt::join(words, " ")),
                "source <(twistor completion bash); twistor man | man -l -");
  return config::bash_completion(docs);
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

  const config::Arguments arguments = split_arguments(words.subspan(1), *command);
  if (!arguments.is_help && (words[0] == "completion" || words[0] == "man")) return {docs_for(words), {}};
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
    invocation.config = run::load_config(invocation.config_file, keys);
  }
  return {{}, std::move(invocation)};
}

bool wants_ranks(std::span<const std::string> words) noexcept {
  const Description* command = words.empty() ? nullptr : find_description(words[0]);
  return command != nullptr && command->is_parallel() && std::ranges::find(words, "--help") == words.end();
}

}  // namespace twistor::app
