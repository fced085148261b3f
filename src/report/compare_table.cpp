// SPDX-License-Identifier: Apache-2.0
// Comparisons as tables.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/report/compare.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/table.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

struct Column {
  const char* name;   // in files
  const char* title;  // for people
  OverRuns ComparedRow::*value;
};
constexpr Column measures[] = {{"kl_q_sigma", "KL(q || sigma)", &ComparedRow::kl_q_sigma},
                               {"kl_sigma_q", "KL(sigma || q)", &ComparedRow::kl_sigma_q},
                               {"smc_lower", "lower bound", &ComparedRow::lower},
                               {"smc_upper", "upper bound", &ComparedRow::upper},
                               {"log_phi", "E log phi", &ComparedRow::log_phi},
                               {"kl_q_p0", "KL(q || p0)", &ComparedRow::kl_q_p0}};

std::string shown(const OverRuns& x) {
  if (std::isnan(x.mean)) return "–";
  if (std::isnan(x.half_width)) return fmt::format("{:.4f}", x.mean);
  return fmt::format("{:.4f} ± {:.4f}", x.mean, x.half_width);
}

std::vector<std::string> header(const BesideColumns& beside) {
  std::vector<std::string> out{"", "runs"};
  for (const Column& column : measures) out.emplace_back(column.title);
  out.insert(out.end(), beside.titles.begin(), beside.titles.end());
  return out;
}

std::vector<std::string> beside_of(const BesideColumns& beside, const std::string& label,
                                   const char* otherwise) {
  const auto found = beside.cells.find(label);
  return found == beside.cells.end() ? std::vector<std::string>(beside.titles.size(), otherwise)
                                     : found->second;
}

std::vector<std::string> cells_of(const ComparedRow& row, const BesideColumns& beside) {
  std::vector<std::string> out{row.label, fmt::format("{}", row.n_runs)};
  for (const Column& column : measures) out.push_back(shown(row.*column.value));
  const std::vector<std::string> more = beside_of(beside, row.label, "–");
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::string plain_table(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  Table table(header(beside));
  for (const ComparedRow& row : rows) table.add_row(cells_of(row, beside));
  constexpr std::size_t terminal_columns = 120;
  return table.text(terminal_columns);
}

std::string markdown_line(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) {
    out += ' ';
    for (const char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
    out += " |";
  }
  return out + "\n";
}

std::string markdown(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  const std::vector<std::string> titles = header(beside);
  std::string out = markdown_line(titles) + "|---|";
  for (std::size_t i = 1; i < titles.size(); ++i) out += "---:|";
  out += "\n";
  for (const ComparedRow& row : rows) out += markdown_line(cells_of(row, beside));
  return out;
}

std::string csv(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  std::vector<std::string> titles{"label", "runs", "log_z"};
  for (const Column& column : measures)
    titles.insert(titles.end(),
                  {fmt::format("{}.mean", column.name), fmt::format("{}.half_width_95", column.name)});
  titles.insert(titles.end(), beside.titles.begin(), beside.titles.end());
  std::string out = csv_line(titles);
  const auto number = [](double x) { return std::isnan(x) ? std::string{} : plain_number(x); };
  for (const ComparedRow& row : rows) {
    std::vector<std::string> cells{row.label, fmt::format("{}", row.n_runs), number(row.log_z)};
    for (const Column& column : measures) {
      const OverRuns& x = row.*column.value;
      cells.insert(cells.end(), {number(x.mean), number(x.half_width)});
    }
    const std::vector<std::string> more = beside_of(beside, row.label, "");
    cells.insert(cells.end(), more.begin(), more.end());
    out += csv_line(cells);
  }
  return out;
}

std::string json_text(std::span<const ComparedRow> rows) {
  std::string out = "[";
  for (const ComparedRow& row : rows) {
    JsonLine line;
    line.add("label", row.label).add("runs", row.n_runs).add("log_z", row.log_z);
    for (const Column& column : measures) {
      const OverRuns& x = row.*column.value;
      line.add(column.name, JsonLine().add("mean", x.mean).add("half_width_95", x.half_width));
    }
    out += (out.size() > 1 ? "," : "") + line.text();
  }
  return indented(out + "]") + "\n";
}

}  // namespace

BesideColumns read_beside(const std::filesystem::path& file) {
  const std::string doing = "reading " + file.string();
  std::ifstream stream(file);
  TWISTOR_CHECK(stream.good(), ErrorKind::no_input, doing, "there is no such file");
  BesideColumns out;
  std::string line;
  while (std::getline(stream, line)) {
    if (line.empty() || line.starts_with('#')) continue;
    std::vector<std::string> cells;
    for (const std::string_view cell : split(line, ',')) cells.emplace_back(trim(cell));
    std::string label = std::move(cells.front());
    cells.erase(cells.begin());
    if (out.titles.empty()) {
      out.titles = std::move(cells);
      continue;
    }
    TWISTOR_CHECK(cells.size() == out.titles.size(), ErrorKind::data, doing,
                  fmt::format("the row '{}' has {} cells beside its label, the first line has {}", label,
                              cells.size(), out.titles.size()));
    out.cells[label] = std::move(cells);
  }
  TWISTOR_CHECK(!out.titles.empty(), ErrorKind::data, doing, "expected a first line \"label,TITLE,...\"");
  return out;
}

std::string to_text(std::span<const ComparedRow> rows, CompareFormat format, const BesideColumns& beside) {
  switch (format) {
    case CompareFormat::text:
      return plain_table(rows, beside);
    case CompareFormat::markdown:
      return markdown(rows, beside);
    case CompareFormat::csv:
      return csv(rows, beside);
    case CompareFormat::json:
      return json_text(rows);
  }
  return {};
}

void write_comparison(const std::filesystem::path& file, std::span<const ComparedRow> rows) {
  store::Results results;
  std::string labels;
  std::vector<std::int64_t> n_runs;
  std::vector<double> log_z;
  for (const ComparedRow& row : rows) {
    labels += row.label + "\n";
    n_runs.push_back(row.n_runs);
    log_z.push_back(row.log_z);
  }
  results.arrays.emplace("label", labels);
  results.arrays.emplace("runs", Array<std::int64_t>::flat(n_runs));
  results.arrays.emplace("log_z", Array<double>::flat(log_z));
  for (const Column& column : measures) {
    std::vector<double> means, half_widths;
    for (const ComparedRow& row : rows) {
      means.push_back((row.*column.value).mean);
      half_widths.push_back((row.*column.value).half_width);
    }
    results.arrays.emplace(fmt::format("{}.mean", column.name), Array<double>::flat(means));
    results.arrays.emplace(fmt::format("{}.half_width_95", column.name), Array<double>::flat(half_widths));
  }
  store::write_results(file, results, {.generations = 1});
}

}  // namespace twistor::report
