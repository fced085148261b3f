// SPDX-License-Identifier: Apache-2.0
// The keys of potentials, and what goes by them.
#include "twistor/potential/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/config/fields.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/model/load.hpp"
#include "twistor/potential/option_values.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {
namespace {

/// Keys of one object, bound to it.
config::Fields fields_of(PotentialOptions& options) {
  config::Fields fields;
  fields.add("target", options);
  return fields;
}

}  // namespace

void PotentialOptions::visit_keys(const config::Visitor& visit) {
  using namespace config;  // key, choice, input and ranges
  visit(choice("potential", "what makes a sequence good", potential_names()), &potential);
  visit(key("beta", "exponent of phi", positive), &beta);
  visit(key("text", "continuation: the text that should follow; similarity: to resemble"), &text);
  visit(key("ids", "continuation: the tokens that should follow; contains: any of these"), &ids);
  visit(key("words", "contains: any of these words or phrases, separated by commas"), &words);
  visit(key("all_of", "keywords: words that must all occur, separated by commas"), &all_of);
  visit(key("any_of", "keywords: words of which one must occur"), &any_of);
  visit(key("none_of", "keywords: words of which none may occur"), &none_of);
  visit(key("alpha", "power: sigma is p0 to this power", positive), &alpha);
  visit(input("table", "tokens: file of scores"), &table);
  visit(choice("mode",
               "scores of all tokens or words added up (tokens, lexicon), the last one's (tokens), each "
               "entry's once "
               "or the mean (lexicon)",
               choices_of<ScoreMode, LexiconMode>()),
        &mode);
  visit(input("lexicon", "lexicon: file of words and their valences"), &lexicon);
  visit(key("cap", "lexicon: the valence of a text counts up to here", any_number), &cap);
  visit(key("pattern", "regex: what must match somewhere in the text"), &pattern);
  visit(key("log_floor", "contains, regex: log phi of a sequence without any match", at_most_0), &log_floor);
  visit(input("classifier", "classifiers: folder of the model"), &classifier);
  visit(key("messages", "reward: messages (JSON) that the text answers, for its own chat template"),
        &messages);
  visit(input("encoder", "similarity, linear_head: folder of a sentence encoder"), &encoder);
  visit(input("head", "linear_head: file of the head"), &head);
  visit(choice("dtype", "arithmetic of the potential's own model", choices_of<device::Precision>()), &dtype);
  visit(key("class", "classifiers: the class whose probability counts"), &class_name);
  visit(key("negate", "classifiers: the probability that it is not this class counts"), &negate);
  visit(choice("rule", "classifiers: how phi follows from it", choices_of<RuleKind>()), &rule);
  visit(key("threshold", "classifiers: log-odds to exceed, for rule = threshold", finite), &threshold);
  visit(key("template", "judge: what the model is asked about a text, with {text} in it"), &template_text);
  visit(key("answer", "judge: the answer whose probability counts"), &answer);
  visit(key("command", "process: command that reads texts and writes numbers"), &command);
  visit(key("timeout_s", "process: longest silence", positive), &timeout_s);
  visit(input("plugin", "plugin: shared object that says what phi is"), &plugin);
  visit(key("plugin_options", "plugin: what is handed to it, as it is"), &plugin_options);
  visit(choice("scope", "kinds that read text: prompt and generation, the latter alone, or both as a pair",
               choices_of<TextScope>()),
        &scope);
  visit(
      key("question", "reward, classifier: what the generation answers, if not the prompt, for scope = pair"),
      &question);
}

void Factor::visit_keys(const config::Visitor& visit) {
  visit(config::key("weight", "exponent of this factor's phi", config::positive), &weight);
  options.visit_keys(visit);
}

std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> words;
  for (const std::string_view part : split(list, ',')) {
    const std::string_view word = trim(part, " \t");
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

std::vector<std::string> keys_that_are_set(const PotentialOptions& options) {
  PotentialOptions copy = options, fresh;
  const config::Fields given = fields_of(copy), defaults = fields_of(fresh);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < given.size(); ++i)
    if (!config::is_equal(given[i], defaults[i])) out.emplace_back(given[i].about.name);
  if (!options.scores.empty()) out.emplace_back("scores");
  if (!options.factors.empty()) out.emplace_back("factors");
  return out;
}

std::vector<std::string> inputs_of(const PotentialOptions& options) {
  PotentialOptions copy = options;
  std::vector<std::string> out;
  for (const config::Field& field : fields_of(copy)) {
    const std::string& value = field.about.is_input ? *std::get<std::string*>(field.value) : std::string();
    if (!value.empty()) out.push_back(value);
  }
  return out;
}

PotentialOptions with_inputs_found(PotentialOptions options, const std::filesystem::path& config_file) {
  for (const config::Field& field : fields_of(options)) {
    if (!field.about.is_input) continue;
    std::string& path = *std::get<std::string*>(field.value);
    if (!path.empty()) path = config::input_path(path, config_file, field.key).string();
  }
  for (auto& [name, factor] : options.factors)
    factor.options = with_inputs_found(std::move(factor.options), config_file);
  return options;
}

void validate(const PotentialOptions& options, bool can_end, const std::string& doing) {
  const auto check = [&](bool is_fine, const std::string& problem, const std::string& hint) {
    TWISTOR_CHECK(is_fine, ErrorKind::config, doing, problem, hint);
  };
  if (options.potential == "continuation") {
    check(options.text.empty() || options.ids.empty(),
          "target.text and target.ids are both given, expected at most one",
          "leave one of them empty; with both empty the continuation is drawn jointly from the model");
    check(!can_end,
          "the potential continuation asks what follows s, and nothing follows a text that has ended",
          "set target.stop_at_eos = false, or choose another potential");
  } else if (options.potential == "contains") {
    check(!options.words.empty() || !options.ids.empty(),
          "target.potential = contains needs target.words or target.ids",
          "for instance target.words = bad, terrible");
  } else if (options.potential == "product") {
    check(!options.factors.empty(), "target.potential = product has no factors",
          "give each a section: [factor.a], with potential, its keys and weight");
    for (const auto& [name, factor] : options.factors)
      validate(factor.options, can_end, doing + ", [" + name + "]");
  } else if (options.potential == "tokens") {
    check(!options.table.empty(), "target.potential = tokens needs target.table", "name a file of scores");
  } else if (options.potential == "plugin") {
    check(!options.plugin.empty(), "target.potential = plugin needs target.plugin",
          "name a shared object with the interface of twistor/plugin.h");
  }
}

bool is_class_open(const PotentialOptions& options) {
  return (options.potential == "classifier" || options.potential == "linear_head") &&
         options.class_name.empty();
}

bool is_event(const PotentialOptions& options) {
  if (options.potential == "product")
    return std::ranges::all_of(options.factors, [](const auto& f) { return is_event(f.second.options); });
  const bool is_indicator = options.potential == "contains" || options.potential == "keywords" ||
                            options.potential == "regex" || options.rule == "threshold";
  return is_indicator && options.log_floor == log_zero;
}

std::string digest(const PotentialOptions& options) {
  PotentialOptions copy = options;
  const config::Fields fields = fields_of(copy);
  std::vector<std::string> set = keys_that_are_set(options);
  std::ranges::sort(set);
  Sha256 hash;
  const auto add = [&hash](std::string_view key, const std::string& value) {
    hash.add(fmt::format("{}:{}:{}|", key, value.size(), value));
  };
  add("potential", options.potential);
  add("length", fmt::format("{}", options.length));
  add("scores", fmt::format("{}", fmt::join(options.scores, ",")));
  for (const auto& [name, factor] : options.factors)
    add(name, fmt::format("{} {}", factor.weight, digest(factor.options)));
  for (const std::string& key : set) {
    const config::Field* field = fields.find("target." + key);
    if (field == nullptr) continue;  // the scores, the factors
    const auto* path = field->about.is_input ? std::get<std::string*>(field->value) : nullptr;
    if (path == nullptr) {
      add(key, config::format_value(*field));
    } else if (std::filesystem::is_regular_file(*path)) {  // the contents count, not the place
      add(key, sha256_hex(MappedFile(*path).bytes()));
    }
  }
  return hash.finish_hex();
}

}  // namespace twistor::potential
