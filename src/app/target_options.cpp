// The options of the potential, key by key from the two tables of names; and the prompt.
#include "twistor/app/target_options.hpp"

#include <fmt/format.h>

#include <type_traits>

#include "twistor/app/config_fields.hpp"
#include "twistor/base/error.hpp"
#include "twistor/store/foreign_arrays.hpp"

namespace twistor::app {

target::PotentialOptions target_options(const Config& config, const std::filesystem::path& config_file) {
  constexpr std::string_view section = "target.";
  target::PotentialOptions options;
  Config copy = config;  // fields point into what can be written
  for (const Field& field : fields()) {
    if (!field.key.starts_with(section)) continue;
    const target::OptionField* option = target::find_option(field.key.substr(section.size()));
    if (option == nullptr) continue;  // of the run, not of the potential: target.observation_length
    std::visit(
        [&](auto member, const auto* value) {
          if constexpr (std::is_same_v<decltype(options.*member), std::decay_t<decltype(*value)>&>) {
            options.*member = *value;
          } else {
            TWISTOR_ASSERT(false, fmt::format("{} and its option are of one type", field.key));
          }
        },
        option->member, field.pointer(copy));
    if (!option->is_path) continue;
    std::string& path = options.*std::get<std::string target::PotentialOptions::*>(option->member);
    if (!path.empty()) path = input_path(path, config_file, field.key).string();
  }
  return options;
}

target::TargetContext target_context(const model::LanguageModel* lm, const text::Tokenizer* tokenizer) {
  target::TargetContext context;
  context.lm = lm;
  context.tokenizer = tokenizer;
  context.read_arrays = [](const std::filesystem::path& file, std::span<const std::string> names) {
    std::vector<model::FloatArray> arrays;
    for (store::Array<float>& array : store::read_foreign_arrays(file, names))
      arrays.push_back({std::move(array.shape), std::move(array.values)});
    return arrays;
  };
  return context;
}

std::vector<std::int64_t> prompt_ids(const Config& config, const text::Tokenizer* tokenizer,
                                     std::int64_t vocab_size) {
  auto prompt = config.prompt.ids;
  if (prompt.empty()) {
    TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::config, "reading prompt.text",
                  "the model has no tokenizer", "give prompt.ids instead");
    prompt = tokenizer->encode(config.prompt.text);
  }
  TWISTOR_CHECK(!prompt.empty(), ErrorKind::config, "reading the prompt", "it has no tokens",
                "give a longer prompt.text");
  for (const std::int64_t id : prompt)
    TWISTOR_CHECK(id >= 0 && id < vocab_size, ErrorKind::config, "reading the prompt",
                  fmt::format("token id {} is out of range (vocabulary {})", id, vocab_size),
                  "correct prompt.ids");
  return prompt;
}

}  // namespace twistor::app
