// SPDX-License-Identifier: Apache-2.0
// Potentials by name: the registry that a new kind adds one line to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/model/bilstm.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/potential/options.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/potential/text_potential.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::potential {

/// What a potential may look at. Either may be absent; a kind that needs it says so. Must outlive the
/// potential.
struct TargetContext {
  const model::LanguageModel* lm = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  /// Whether what the model is asked from the start (judge) begins with the special tokens that its tokenizer
  /// puts in front of texts, as the prompt does: prompt.special_tokens.
  bool has_special_tokens = true;
  /// Where a potential's own model keeps its weights; empty: in private memory. Asked once for each model.
  std::function<model::WeightMemory()> weight_memory = {};
  /// Where a potential's own model computes; nullptr: on the CPU's own kernels.
  std::shared_ptr<const device::Engine> engine = nullptr;
  /// Reads float32 arrays by name from an HDF5 file; HDF5 belongs to a room that this one may not use.
  std::function<std::vector<Array<float>>(const std::filesystem::path& file,
                                          std::span<const std::string> names)>
      read_arrays = {};

  /// V as the language model, else the tokenizer, says; 0 if there is neither.
  [[nodiscard]] std::int64_t vocab_size() const;
  /// Where generated texts end.
  [[nodiscard]] model::EndRule end_rule() const;
  /// How a potential's own model is loaded, with options.dtype.
  [[nodiscard]] model::LoadOptions load_options(const PotentialOptions& options) const;
};

/// Makes the potential of that name; what it returns is checked (see checked_potential.hpp).
/// Throws Error(config) on an unknown name (listing the known), on missing or unfit options, and on options
/// that are set but not read by that kind.
[[nodiscard]] std::unique_ptr<Potential> make_potential(const PotentialOptions& options,
                                                        const TargetContext& context);

/// The scorer inside the potential of that name, checked likewise; nullptr if the kind looks at tokens, not
/// at text.
[[nodiscard]] std::unique_ptr<TextScorer> make_text_scorer(const PotentialOptions& options,
                                                           const TargetContext& context);

/// The same of p(o | s) for all o together: what a potential and its options are without the one that they
/// name.
[[nodiscard]] std::string identity_of_all(const Potential& potential, PotentialOptions options);

/// Whether that kind asks the language model, not only its tokenizer. Throws Error(config) on an unknown
/// name.
[[nodiscard]] bool needs_language_model(std::string_view name);

/// What a potential is, with a digest of all that defines it: description, options, contents of files.
/// Different for different targets: checkpoints and exact samples are tied to it.
[[nodiscard]] std::string identity(const Potential& potential, const PotentialOptions& options);

/// The registered names, sorted.
[[nodiscard]] std::vector<std::string_view> potential_names();

}  // namespace twistor::potential
