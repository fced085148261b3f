// Potentials by name: the options that make one, and the registry that a new kind adds one line to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/target/potential.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::target {

/// What a potential may look at. Either may be absent; a kind that needs it says so. Must outlive the
/// potential.
struct TargetContext {
  const model::LanguageModel* lm = nullptr;
  const text::Tokenizer* tokenizer = nullptr;

  /// V as the language model, else the tokenizer, says; 0 if there is neither.
  [[nodiscard]] std::int64_t vocab_size() const;
};

/// The keys target.* of a configuration. Each kind says which it reads.
struct PotentialOptions {
  std::string name;               ///< the kind
  double beta = 1.0;              ///< phi^beta is meant where phi is written
  std::int64_t length = 0;        ///< T if known, else 0: makes some bounds finite
  std::string text;               ///< text, encoded by the tokenizer
  std::vector<std::int64_t> ids;  ///< tokens by id
  std::string words;              ///< comma-separated words or phrases
  double log_floor = log_zero;    ///< log phi where an indicator is 0
  std::vector<double> scores;     ///< (V) score of each token
  std::string table_path;         ///< file of lines "id score"
  std::string mode = "bag";       ///< "bag" or "last"
};

/// Makes the potential of that name; what it returns is checked (see checked_potential.hpp).
/// Throws Error(config) on an unknown name (listing the known), and on missing or unfit options.
[[nodiscard]] std::unique_ptr<Potential> make_potential(const PotentialOptions& options,
                                                        const TargetContext& context);

/// The registered names, sorted.
[[nodiscard]] std::vector<std::string> potential_names();

}  // namespace twistor::target
