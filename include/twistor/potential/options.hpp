// SPDX-License-Identifier: Apache-2.0
// What makes a potential: the keys target.* of a configuration that say what phi is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/config/key.hpp"

namespace twistor::potential {

struct Factor;

/// Each kind says in the registry which of them it reads.
struct PotentialOptions {
  std::string potential = "continuation";  ///< the kind
  double beta = 1.0;                       ///< phi^beta is meant where phi is written
  std::string text;                        ///< text, encoded by the tokenizer
  std::vector<std::int64_t> ids;           ///< tokens by id
  std::string words;                       ///< comma-separated words or phrases
  std::string all_of, any_of, none_of;     ///< likewise, for sets of words
  double alpha = 1;                        ///< exponent of p0 in sigma
  std::string table;                       ///< file of lines "id score"
  std::string mode = "bag";                ///< "bag", "distinct", "last" or "mean"
  std::string lexicon;                     ///< file of lines "token TAB valence"
  double cap = -log_zero;                  ///< the highest valence of a text that counts
  std::string pattern;                     ///< regular expression
  double log_floor = log_zero;             ///< log phi where an indicator is 0
  std::string classifier;                  ///< folder of a classifier
  std::string messages;                    ///< reward: what the text answers, JSON
  std::string encoder;                     ///< folder of a sentence encoder
  std::string head;                        ///< file of a linear head over its vectors
  std::string dtype = "float32";           ///< precision of the potential's own model
  std::string class_name;                  ///< key `class`: the class whose probability counts
  bool negate = false;                     ///< its absence counts instead
  std::string rule = "probability";        ///< "probability" or "threshold": see ClassRule
  double threshold = 0;                    ///< least log-odds, for rule = threshold
  std::string template_text;               ///< key `template`: what is asked about a text, with {text} in it
  std::string answer;                      ///< what should follow
  std::string command;                     ///< for /bin/sh -c
  double timeout_s = 60;                   ///< without a sign of life from it
  std::string plugin;                      ///< file of a shared object (twistor/plugin.h)
  std::string plugin_options;              ///< handed to it as they are
  std::string scope = "all";  ///< kinds of text: "all" (prompt and generation), "generation" or "pair"
  std::string question;       ///< scope = pair: what is answered, in place of the prompt

  // No keys of the potential:
  std::int64_t length = 0;     ///< T if known, else 0: makes some bounds finite
  std::vector<double> scores;  ///< (V) score of each token, for programs, which have no table to name
  std::map<std::string, Factor> factors;  ///< of a product, by section: "factor.NAME"

  /// All keys. What is hashed, compared, checked and explained goes by this visit alone.
  void visit_keys(const config::Visitor& visit);
};

/// One potential of a product: the keys factor.NAME.*.
struct Factor {
  double weight = 1;  ///< exponent of its phi
  PotentialOptions options;
  void visit_keys(const config::Visitor& visit);
};

/// The words of a list with commas, without blanks around them and without empty ones.
[[nodiscard]] std::vector<std::string> words_of(std::string_view list);

/// The keys whose values differ from those of a fresh PotentialOptions, and "scores" if there are any.
[[nodiscard]] std::vector<std::string> keys_that_are_set(const PotentialOptions& options);

/// The files and folders that it names, empty ones left out.
[[nodiscard]] std::vector<std::string> inputs_of(const PotentialOptions& options);

/// The same with those files and folders found (config::input_path()). *Local.* Throws Error(no_input).
[[nodiscard]] PotentialOptions with_inputs_found(PotentialOptions options,
                                                 const std::filesystem::path& config_file);

/// What no key can know alone; `can_end`: texts may end before T tokens (target.stop_at_eos). Throws
/// Error(config) that begins with `doing`.
void validate(const PotentialOptions& options, bool can_end, const std::string& doing);

/// Whether it is a kind that has classes, and names none. *Local.*
[[nodiscard]] bool is_class_open(const PotentialOptions& options);

/// Whether phi is 0 or 1, so that Z is the probability of an event. *Local.*
[[nodiscard]] bool is_event(const PotentialOptions& options);

/// sha256 of all that is set and of the contents of all plain files among it, as 64 hexadecimal digits; keys
/// with their default leave no trace, so a new key changes no digest. What folders hold must come from
/// elsewhere (Potential::fingerprint). Throws what MappedFile throws.
[[nodiscard]] std::string digest(const PotentialOptions& options);

}  // namespace twistor::potential
