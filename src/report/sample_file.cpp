// SPDX-License-Identifier: Apache-2.0
// Rows of samples: weights, repeats, order, and the two formats.
#include "twistor/report/sample_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/log_space.hpp"
#include "twistor/format/json.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {
namespace {

using estimate::DrawFrom;
using estimate::WeightedSequence;

std::string joined(const std::vector<std::int64_t>& ids) {
  return fmt::format("{}", fmt::join(ids, " "));
}

/// Names of the columns.
std::string csv_head(const SampleHead& head) {
  std::vector<std::string> names;
  if (head.prompt_index) names = {"prompt_index", "prompt_id"};
  names.emplace_back("prompt");
  if (head.prompt_text) names.emplace_back("text");
  for (const char* name : {"ids", "log_phi", "log_p0", "log_q", "log_weight", "weight"})
    names.emplace_back(name);
  if (head.has_count) names.emplace_back("count");
  names.insert(names.end(), {"population", "id"});
  return csv_line(names);
}

std::string csv_rows(const std::vector<SampleRow>& rows, const SampleHead& head) {
  std::string out;
  for (const SampleRow& row : rows) {
    const WeightedSequence& s = row.sequence;
    std::vector<std::string> fields;
    if (head.prompt_index) fields = {std::to_string(*head.prompt_index), valid_utf8(head.prompt_id)};
    fields.push_back(head.prompt_text ? valid_utf8(*head.prompt_text) : joined(head.prompt_ids));
    if (head.prompt_text) fields.push_back(valid_utf8(row.text));
    fields.push_back(joined(s.tokens));
    for (const double x : {s.log_phi, s.log_p0, s.log_q, s.log_weight, row.weight})
      fields.push_back(plain_number(x));
    if (head.has_count) fields.push_back(std::to_string(row.count));
    fields.insert(fields.end(), {std::to_string(s.population), std::to_string(s.id)});
    out += csv_line(fields);
  }
  return out;
}

}  // namespace

std::vector<SampleRow> sample_rows(const std::vector<WeightedSequence>& sequences,
                                   const std::vector<std::string>& texts, DrawFrom from) {
  std::vector<double> log_w;
  for (const WeightedSequence& s : sequences) log_w.push_back(s.log_weight);
  const double log_sum = log_sum_exp(log_w);
  const auto weight = [&](std::size_t i) {
    if (from == DrawFrom::draws) return 1.0 / static_cast<double>(sequences.size());
    return log_sum == log_zero ? 0.0 : std::exp(log_w[i] - log_sum);
  };
  std::vector<SampleRow> rows;
  for (std::size_t i = 0; i < sequences.size(); ++i)
    rows.push_back({texts.empty() ? std::string{} : texts[i], sequences[i], weight(i)});
  return rows;
}

std::vector<SampleRow> merge_repeats(const std::vector<SampleRow>& rows) {
  std::vector<SampleRow> merged;
  const bool has_text = std::ranges::any_of(rows, [](const SampleRow& row) { return !row.text.empty(); });
  std::map<std::pair<std::string, std::vector<std::int64_t>>, std::size_t> place;
  for (const SampleRow& row : rows) {
    const auto key = std::pair(row.text, has_text ? std::vector<std::int64_t>{} : row.sequence.tokens);
    const auto [found, is_new] = place.try_emplace(key, merged.size());
    if (is_new) {
      merged.push_back(row);
      continue;
    }
    SampleRow& first = merged[found->second];
    first.weight += row.weight;
    first.count += row.count;
    first.sequence.log_weight = log_add_exp(first.sequence.log_weight, row.sequence.log_weight);
  }
  return merged;
}

std::vector<SampleRow> best_rows(std::vector<SampleRow> rows, std::int64_t n, DrawFrom from) {
  const auto merit = [&](const SampleRow& row) {
    return from == DrawFrom::draws ? row.sequence.log_phi : row.sequence.log_weight;
  };
  std::ranges::stable_sort(rows, std::ranges::greater{}, merit);
  if (n < static_cast<std::int64_t>(rows.size())) rows.resize(static_cast<std::size_t>(n));
  return rows;
}

std::string to_jsonl(const std::vector<SampleRow>& rows, const SampleHead& head) {
  std::string out;
  for (const SampleRow& row : rows) {
    const WeightedSequence& s = row.sequence;
    JsonLine line;
    if (head.prompt_index) line.add("prompt_index", *head.prompt_index);
    if (head.prompt_index && head.prompt_id.empty()) line.add_json("prompt_id", "null");
    if (head.prompt_index && !head.prompt_id.empty()) line.add("prompt_id", head.prompt_id);
    if (head.prompt_text)
      line.add("prompt", *head.prompt_text).add("text", row.text);
    else
      line.add("prompt", std::span<const std::int64_t>(head.prompt_ids));
    line.add("ids", std::span<const std::int64_t>(s.tokens))
        .add("log_phi", s.log_phi)
        .add("log_p0", s.log_p0)
        .add("log_q", s.log_q)
        .add("log_weight", s.log_weight)
        .add("weight", row.weight);
    if (head.has_count) line.add("count", row.count);
    out += line.add("population", s.population).add("id", s.id).text() + "\n";
  }
  return out;
}

std::string to_csv(const std::vector<SampleRow>& rows, const SampleHead& head) {
  return csv_head(head) + csv_rows(rows, head);
}

std::size_t write_samples(const std::filesystem::path& file, std::vector<SampleGroup> groups,
                          const SampleOptions& options) {
  const bool is_csv = options.format == SampleFormat::csv;
  std::string text = is_csv && !groups.empty() ? csv_head(groups.front().head) : std::string();
  std::size_t n = 0;
  for (auto& [rows, head] : groups) {
    if (options.unique) rows = merge_repeats(rows);
    if (options.top > 0) rows = best_rows(std::move(rows), options.top, options.from);
    text += is_csv ? csv_rows(rows, head) : to_jsonl(rows, head);
    n += rows.size();
  }
  write_text_atomically(file.string(), text);
  return n;
}

}  // namespace twistor::report
