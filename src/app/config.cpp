// Reading, checking and writing configurations.
#include "twistor/app/config.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <type_traits>

#include "twistor/app/config_fields.hpp"
#include "twistor/base/error.hpp"

namespace twistor::app {
namespace {

constexpr std::string_view blanks = " \t\r";
constexpr const char* reference_hint = "configs/reference.cfg explains every key";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

void set(const Field& field, Config& config, std::string_view value, ValueSyntax syntax,
         const std::string& doing) {
  const std::string problem = assign(field, config, value, syntax);
  TWISTOR_CHECK(problem.empty(), ErrorKind::config, doing,
                fmt::format("{}: expected {}, got {:.200}", field.key, expectation(field), problem),
                reference_hint);
}

bool is_section(std::string_view name) {
  for (const Field& field : fields()) {
    if (field.key.substr(0, field.key.find('.')) == name) return true;
  }
  return false;
}

// "[name]" with perhaps a comment behind it.
std::string read_section(std::string_view line, const std::string& doing) {
  const std::size_t close = line.find(']');
  TWISTOR_CHECK(close != std::string_view::npos, ErrorKind::config, doing,
                "expected ']' after the name of a section");
  const std::string_view rest = trim(line.substr(close + 1));
  TWISTOR_CHECK(rest.empty() || rest.front() == '#', ErrorKind::config, doing,
                fmt::format("expected nothing behind [section], got '{:.80}'", rest));
  std::string name(trim(line.substr(1, close - 1)));
  TWISTOR_CHECK(is_section(name), ErrorKind::config, doing, fmt::format("unknown section [{:.80}]", name),
                "sections: model, prompt, target, twist, smc, train, evaluate, exact, sample, run");
  return name;
}

void read_text(std::string_view text, const std::string& name, Config& config) {
  std::map<std::string_view, int> first_lines;  // where each key was set
  std::string section;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the mark that some editors put before UTF-8
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view whole_line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), whole_line.size() + 1));
    const std::string_view line = trim(whole_line);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const std::string doing = fmt::format("reading {}, line {}", name, number);
    if (line.front() == '[') {
      section = read_section(line, doing);
      continue;
    }
    const std::size_t equals = line.find('=');
    TWISTOR_CHECK(equals != std::string_view::npos, ErrorKind::config, doing,
                  fmt::format("expected 'key = value', got '{:.80}'", line));
    std::string key(trim(line.substr(0, equals)));
    if (key.find('.') == std::string::npos && !section.empty()) key = section + "." + key;
    const Field& field = require_field(key, doing);
    const auto [previous, is_first] = first_lines.try_emplace(field.key, number);
    TWISTOR_CHECK(is_first, ErrorKind::config, doing,
                  fmt::format("{} is set a second time; line {} sets it already", key, previous->second),
                  "keep one of the two");
    set(field, config, line.substr(equals + 1), ValueSyntax::file, doing);
  }
}

void apply_overrides(std::span<const Override> overrides, Config& config) {
  const std::string doing = "reading the command line";
  for (const Override& given : overrides)  // of several with one key the last counts
    set(require_field(given.key, doing), config, given.value, ValueSyntax::verbatim, doing);
}

void validate_target(const TargetConfig& target, const std::string& doing) {
  const auto check = [&](bool is_fine, const std::string& problem, const std::string& hint) {
    TWISTOR_CHECK(is_fine, ErrorKind::config, doing, problem, hint);
  };
  if (target.potential == "continuation") {
    check(target.text.empty() || target.ids.empty(),
          "target.text and target.ids are both given, expected at most one",
          "leave one of them empty; with both empty the continuation is drawn jointly from the model");
  } else if (target.potential == "contains") {
    check(!target.words.empty() || !target.ids.empty(),
          "target.potential = contains needs target.words or target.ids",
          "for instance target.words = bad, terrible");
  } else if (target.potential == "tokens") {
    check(!target.table.empty(), "target.potential = tokens needs target.table", "name a file of scores");
  }
}

// What no key can know alone.
void validate(const Config& config, const std::string& name) {
  const std::string doing = fmt::format("checking {}", name);
  TWISTOR_CHECK(
      !config.model.path.empty(), ErrorKind::config, doing, "model.path is missing",
      "name a folder in Hugging Face layout or a .gguf file, for instance model.path = models/tiny");
  TWISTOR_CHECK(config.prompt.text.empty() != config.prompt.ids.empty(), ErrorKind::config, doing,
                fmt::format("expected exactly one of prompt.text and prompt.ids, got {}",
                            config.prompt.text.empty() ? "none" : "both"),
                "an empty value counts as not given: --prompt.text= --prompt.ids=1,2");
  TWISTOR_CHECK(!config.run.output.empty(), ErrorKind::config, doing, "run.output is empty",
                "name a folder, for instance run.output = runs/first");
  validate_target(config.target, doing);
}

}  // namespace

Config parse_config(std::string_view text, const std::string& name, std::span<const Override> overrides) {
  Config config;
  read_text(text, name, config);
  apply_overrides(overrides, config);
  validate(config, name);
  return config;
}

Config load_config(const std::filesystem::path& file, std::span<const Override> overrides) {
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
  return parse_config(text, file.string(), overrides);
}

std::string to_text(const Config& config) {
  std::string text;
  std::string_view section;
  for (const Field& field : fields()) {
    const std::size_t dot = field.key.find('.');
    if (field.key.substr(0, dot) != section) {
      section = field.key.substr(0, dot);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    const std::string value = format_value(field, config);
    text += fmt::format("{} ={}{}\n", field.key.substr(dot + 1), value.empty() ? "" : " ", value);
  }
  return text;
}

std::string to_json(const Config& config) {
  nlohmann::ordered_json json;
  Config copy = config;
  for (const Field& field : fields()) {
    const std::size_t dot = field.key.find('.');
    nlohmann::ordered_json& place =
        json[std::string(field.key.substr(0, dot))][std::string(field.key.substr(dot + 1))];
    std::visit(
        [&](const auto* pointer) {
          place = *pointer;
          if constexpr (std::is_same_v<decltype(pointer), const double*>) {
            if (std::isinf(*pointer)) place = format_value(field, config);
          }
        },
        field.pointer(copy));
  }
  // A prompt need not be UTF-8; JSON must be.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<std::int64_t> epoch_ends(const TrainConfig& train) {
  std::vector<std::int64_t> ends;
  if (train.schedule == "doubling") {
    for (std::int64_t end = 2; end < train.updates; end *= 2) ends.push_back(end);
  } else {
    for (std::int64_t epoch = 1; epoch < train.epochs; ++epoch) {
      const std::int64_t end =
          train.updates / train.epochs * epoch + std::min(epoch, train.updates % train.epochs);
      if (end > (ends.empty() ? 0 : ends.back()) && end < train.updates) ends.push_back(end);
    }
  }
  ends.push_back(train.updates);
  return ends;
}

}  // namespace twistor::app
