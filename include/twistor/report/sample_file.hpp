// SPDX-License-Identifier: Apache-2.0
// What `twistor sample` writes: rows of sequences, thinned out, as JSON Lines or CSV.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"
#include "twistor/estimate/draws.hpp"

namespace twistor::report {

enum class SampleFormat { jsonl, csv };
constexpr auto names_of(SampleFormat) {
  return std::array{Named{SampleFormat::jsonl, "jsonl"}, Named{SampleFormat::csv, "csv"}};
}

struct SampleOptions {
  std::int64_t count = 100;  ///< sequences to draw
  estimate::DrawFrom from = estimate::DrawFrom::draws;
  std::int64_t moves = 0;  ///< of each draw, by conditional sweeps
  bool unique = false;     ///< repeated texts once, with their number
  std::int64_t top = 0;    ///< only so many of the best; 0: all
  SampleFormat format = SampleFormat::jsonl;
  std::string path;  ///< empty: samples.jsonl or samples.csv in the run's folder
  /// Of the largest population, where the sampler may have K.
  [[nodiscard]] std::int64_t particles_of(std::int64_t K) const {
    return from == estimate::DrawFrom::draws ? K : std::min(K, count);
  }
  void visit_keys(const config::Visitor& visit);
};

/// One line of the file.
struct SampleRow {
  std::string text;  ///< decoded; empty without a tokenizer
  estimate::WeightedSequence sequence;
  double weight = 0;       ///< share of the row: all rows that were drawn add up to 1
  std::int64_t count = 1;  ///< how often the text was drawn
};

/// What all lines have in common.
struct SampleHead {
  std::vector<std::int64_t> prompt_ids;
  std::optional<std::string> prompt_text;  ///< none without a tokenizer; then lines have no text either
  bool has_count = false;
  std::optional<std::int64_t> prompt_index{};  ///< of one of many prompts: its place in the file
  std::string prompt_id{};                     ///< likewise; empty: it has none
};

/// Rows of one prompt, with what they have in common.
struct SampleGroup {
  std::vector<SampleRow> rows;
  SampleHead head;
};

/// Rows of sequences with their texts (empty or one per sequence). Draws have equal weights, particles of
/// populations softmax(log_weight), or 0 if all weights are zero. *Local.*
[[nodiscard]] std::vector<SampleRow> sample_rows(const std::vector<estimate::WeightedSequence>& sequences,
                                                 const std::vector<std::string>& texts,
                                                 estimate::DrawFrom from);

/// Rows of equal text (without texts: of equal tokens) become one, the first, with the sum of their weights
/// and counts. *Local.*
[[nodiscard]] std::vector<SampleRow> merge_repeats(const std::vector<SampleRow>& rows);

/// The n best, best first: draws by log phi, particles by weight; of equals the earlier. *Local.*
[[nodiscard]] std::vector<SampleRow> best_rows(std::vector<SampleRow> rows, std::int64_t n,
                                               estimate::DrawFrom from);

/// Rows of each group thinned out as the options say, and all written to the file. Returns how many.
/// *Local.* Throws Error(io).
std::size_t write_samples(const std::filesystem::path& file, std::vector<SampleGroup> groups,
                          const SampleOptions& options);

/// What a file of samples says.
struct ReadSamples {
  std::vector<std::int64_t> tokens;  ///< (n, T), one after another
  /// (n) log phi, and what each counts: on average the sum of exp(log_weight) is Z.
  std::vector<double> log_weight, log_phi;
};
/// *Local.* Throws Error(no_input) if it cannot be read, Error(data) with the line where it is no JSON Lines
/// of write_samples().
[[nodiscard]] ReadSamples read_samples(const std::filesystem::path& file);

/// The whole file. Texts that are not UTF-8 get U+FFFD in place of bad bytes. *Local.*
[[nodiscard]] std::string to_jsonl(const std::vector<SampleRow>& rows, const SampleHead& head);
[[nodiscard]] std::string to_csv(const std::vector<SampleRow>& rows, const SampleHead& head);

}  // namespace twistor::report
