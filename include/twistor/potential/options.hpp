// What makes a potential: the keys target.* of a configuration, as values and as one table of their names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "twistor/base/log_space.hpp"

namespace twistor::potential {

/// Each kind says in the registry which of them it reads.
struct PotentialOptions {
  std::string potential;             ///< the kind
  double beta = 1.0;                 ///< phi^beta is meant where phi is written
  std::int64_t length = 0;           ///< T if known, else 0: makes some bounds finite
  std::string text;                  ///< text, encoded by the tokenizer
  std::vector<std::int64_t> ids;     ///< tokens by id
  std::string words;                 ///< comma-separated words or phrases
  double log_floor = log_zero;       ///< log phi where an indicator is 0
  std::vector<double> scores;        ///< (V) score of each token; no key
  std::string table;                 ///< file of lines "id score"
  std::string mode = "bag";          ///< "bag", "distinct", "last" or "mean"
  std::string lexicon;               ///< file of lines "token TAB valence"
  double cap = -log_zero;            ///< the highest valence of a text that counts
  std::string pattern;               ///< regular expression
  std::string classifier;            ///< folder of a classifier
  std::string encoder;               ///< folder of a sentence encoder
  std::string head;                  ///< file of a linear head over its vectors
  std::string dtype = "float32";     ///< precision of the potential's own model
  std::string class_name;            ///< key `class`: the class whose probability counts
  bool negate = false;               ///< its absence counts instead
  std::string rule = "probability";  ///< "probability" or "threshold": see ClassRule
  double threshold = 0;              ///< least log-odds, for rule = threshold
  std::string template_text;         ///< key `template`: what is asked about a text, with {text} in it
  std::string answer;                ///< what should follow
  std::string command;               ///< for /bin/sh -c
  double timeout_s = 60;             ///< without a sign of life from it
  std::string scope = "all";         ///< kinds of text: "all" (prompt and generation) or "generation"
};

/// One member of PotentialOptions: the name of its key behind "target.", and whether it names a file or
/// folder.
struct OptionField {
  using Member =
      std::variant<bool PotentialOptions::*, double PotentialOptions::*, std::int64_t PotentialOptions::*,
                   std::string PotentialOptions::*, std::vector<std::int64_t> PotentialOptions::*,
                   std::vector<double> PotentialOptions::*>;
  std::string_view key;
  Member member;
  bool is_path = false;
};

/// All members. What is hashed, compared, copied from configurations and checked goes by this table alone.
[[nodiscard]] std::span<const OptionField> option_fields();
/// nullptr if there is none of that key.
[[nodiscard]] const OptionField* find_option(std::string_view key);

/// Whether the member has another value than a fresh PotentialOptions.
[[nodiscard]] bool is_set(const OptionField& field, const PotentialOptions& options);

/// sha256 of all members and of the contents of all plain files among them, as 64 hexadecimal digits. What
/// folders hold must come from elsewhere (Potential::fingerprint). Throws what MappedFile throws.
[[nodiscard]] std::string digest(const PotentialOptions& options);

}  // namespace twistor::potential
