// Reading, checking and writing configurations.
#include "twistor/app/config.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <type_traits>

#include "twistor/base/error.hpp"

namespace twistor::app {
namespace {

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
  TWISTOR_CHECK(config.exact.source != "joint" || config.target.beta == 1, ErrorKind::config, doing,
                fmt::format("exact.source = joint gives samples of p0(s) p0(o | s), and target.beta is {}",
                            config.target.beta),
                "set target.beta = 1, or exact.source = rejection or enumeration");
  (void)config.evaluate.given_log_z();
}

}  // namespace

bool operator==(const Config& a, const Config& b) {
  Config x = a, y = b;  // fields point into what can be written
  return config::are_equal(fields_of(x), fields_of(y));
}

std::string value_of(const Config& config, std::string_view key) {
  Config copy = config;
  const config::Fields fields = fields_of(copy);
  const config::Field* field = fields.find(key);
  TWISTOR_ASSERT(field != nullptr, fmt::format("there is a key {}", key));
  return config::format_value(*field);
}

Config parse_config(std::string_view text, const std::string& name,
                    std::span<const config::Override> overrides) {
  Config config;
  const config::Fields fields = fields_of(config);
  config::read_text(text, name, fields);
  config::apply(overrides, fields);
  validate(config, name);
  return config;
}

Config load_config(const std::filesystem::path& file, std::span<const config::Override> overrides) {
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
  Config copy = config;
  return config::to_text(fields_of(copy));
}

std::string to_json(const Config& config) {
  nlohmann::ordered_json json;
  Config copy = config;
  for (const config::Field& field : fields_of(copy)) {
    nlohmann::ordered_json& place = json[std::string(field.section())][std::string(field.about.name)];
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_pointer_v<T>) {
            place = *value;
          } else {
            place = value.get();
          }
          if constexpr (std::is_same_v<T, double*>) {
            if (std::isinf(*value)) place = config::format_value(field);
          }
        },
        field.value);
  }
  // A prompt need not be UTF-8; JSON must be.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::optional<double> EvaluateConfig::given_log_z() const {
  if (log_z.empty()) return std::nullopt;
  double value = 0;
  const char* const end = log_z.data() + log_z.size();
  const auto [last, failure] = std::from_chars(log_z.data(), end, value);
  TWISTOR_CHECK(failure == std::errc() && last == end && std::isfinite(value), ErrorKind::config,
                "reading evaluate.log_z", fmt::format("expected a finite number or nothing, got '{}'", log_z),
                "for instance evaluate.log_z = -6.415; leave it empty to have it found");
  return value;
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
