// SPDX-License-Identifier: Apache-2.0
// Comparisons as tables.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <utility>

#include "compare_parts.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/format/json.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/table.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {

std::string interval_text(const OverRuns& x) {
  if (std::isnan(x.mean)) return "–";
  if (std::isnan(x.half_width)) return fmt::format("{:.4f}", x.mean);
  return fmt::format("{:.4f} ± {:.4f}", x.mean, x.half_width);
}

std::vector<std::string> measure_titles(const std::string& of_labels, const std::string& of_counts) {
  std::vector<std::string> out{of_labels, of_counts};
  for (const Measure& measure : measures_shown) out.emplace_back(measure.title);
  return out;
}

std::vector<std::string> measure_cells(const std::string& label, std::int64_t count, const Measures& values) {
  std::vector<std::string> out{label, fmt::format("{}", count)};
  for (const Measure& measure : measures_shown) out.push_back(interval_text(values.*measure.value));
  return out;
}

std::vector<std::string> difference_titles(std::span<const ComparedRow> rows) {
  return measure_titles("minus " + rows.front().label, "pairs");
}

std::vector<std::vector<std::string>> difference_cells(std::span<const ComparedRow> rows) {
  std::vector<std::vector<std::string>> out;
  for (const ComparedRow& row : rows.subspan(1))
    out.push_back(measure_cells(row.label, row.n_pairs, row.difference));
  return out;
}

namespace {

using Cells = std::vector<std::string>;

Cells header(const BesideColumns& beside) {
  Cells out = measure_titles("", "runs");
  out.insert(out.end(), beside.titles.begin(), beside.titles.end());
  return out;
}

Cells beside_of(const BesideColumns& beside, const std::string& label, const char* otherwise) {
  const auto found = beside.cells.find(label);
  return found == beside.cells.end() ? Cells(beside.titles.size(), otherwise) : found->second;
}

Cells cells_of(const ComparedRow& row, const BesideColumns& beside) {
  Cells out = measure_cells(row.label, row.n_runs, row);
  const Cells more = beside_of(beside, row.label, "–");
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::string plain_table(const Cells& titles, const std::vector<Cells>& rows) {
  Table table(titles);
  for (const Cells& row : rows) table.add_row(row);
  constexpr std::size_t terminal_columns = 120;
  return table.text(terminal_columns);
}

std::string markdown_line(const Cells& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) {
    out += ' ';
    for (const char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
    out += " |";
  }
  return out + "\n";
}

std::string markdown_table(const Cells& titles, const std::vector<Cells>& rows) {
  std::string out = markdown_line(titles) + "|---|";
  for (std::size_t i = 1; i < titles.size(); ++i) out += "---:|";
  out += "\n";
  for (const Cells& row : rows) out += markdown_line(row);
  return out;
}

/// Characters that mean something to LaTeX, and those that its default fonts lack.
std::string latex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_here = [&](std::string_view what) { return text.substr(i).starts_with(what); };
    if (is_here("±") || is_here("–")) {
      out += is_here("±") ? "$\\pm$" : "--";
      i += std::string_view(is_here("±") ? "±" : "–").size() - 1;
    } else if (std::string_view("&%$#_{}").find(text[i]) != std::string_view::npos) {
      out += {'\\', text[i]};
    } else if (text[i] == '\\' || text[i] == '~' || text[i] == '^') {
      out += text[i] == '\\'  ? "\\textbackslash{}"
             : text[i] == '~' ? "\\textasciitilde{}"
                              : "\\textasciicircum{}";
    } else if (text[i] == '|' || text[i] == '<' || text[i] == '>') {
      out += text[i] == '|' ? "\\textbar{}" : text[i] == '<' ? "\\textless{}" : "\\textgreater{}";
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string latex_table(const Cells& titles, const std::vector<Cells>& rows) {
  const auto line = [](const Cells& cells) {
    std::string out = cells.front().empty() ? "{}" : latex(cells.front());
    for (std::size_t i = 1; i < cells.size(); ++i) out += " & " + latex(cells[i]);
    return out + " \\\\\n";
  };
  std::string out = fmt::format("\\begin{{tabular}}{{l{}}}\n\\hline\n", std::string(titles.size() - 1, 'r'));
  out += line(titles) + "\\hline\n";
  for (const Cells& row : rows) out += line(row);
  return out + "\\hline\n\\end{tabular}\n";
}

/// Rows with labels that leave room for the columns: where one is longer than that, all are numbers, which
/// legend_of() explains.
std::vector<ComparedRow> with_short_labels(std::span<const ComparedRow> rows) {
  constexpr std::size_t longest = 40;  // bytes
  std::vector<ComparedRow> out(rows.begin(), rows.end());
  if (std::ranges::all_of(rows, [&](const ComparedRow& row) { return row.label.size() <= longest; }))
    return out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i].label = fmt::format("[{}]", i + 1);
  return out;
}

/// What stands for a label that is not shown, a line each.
std::vector<std::string> legend_of(std::span<const ComparedRow> shown, std::span<const ComparedRow> rows) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (shown[i].label != rows[i].label) out.push_back(shown[i].label + " " + rows[i].label);
  return out;
}

/// The table and, where there is more than one row, the differences, each made by `table`; then the legend
/// and the notes, each on a line that begins with `before`.
std::string both_tables(std::span<const ComparedRow> rows, const BesideColumns& beside, const auto& table,
                        std::string_view before) {
  const std::vector<ComparedRow> shown = with_short_labels(rows);
  std::vector<Cells> all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    all.push_back(cells_of(rows[i], beside));
    all.back().front() = shown[i].label;
  }
  std::string out = table(header(beside), all);
  if (rows.size() > 1) out += "\n" + table(difference_titles(shown), difference_cells(shown));
  std::vector<std::string> notes = legend_of(shown, rows);
  std::ranges::copy(notes_of(shown), std::back_inserter(notes));
  if (!notes.empty()) out += "\n";
  for (const std::string& note : notes) out += fmt::format("{}{}\n", before, note);
  return out;
}

/// Names as a JSON array.
std::string json_array(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ",") + format::json_string(name);
  return "[" + out + "]";
}

std::string csv(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  std::vector<std::string> titles{"label", "runs", "log_z"};
  for (const Measure& measure : measures_shown)
    titles.insert(titles.end(),
                  {fmt::format("{}.mean", measure.name), fmt::format("{}.half_width_95", measure.name)});
  titles.insert(titles.end(), beside.titles.begin(), beside.titles.end());
  titles.insert(titles.end(), {"pairs", "shared_samples", "missing_keys"});
  for (const Measure& measure : measures_shown)
    titles.insert(titles.end(), {fmt::format("{}.difference", measure.name),
                                 fmt::format("{}.difference_half_width_95", measure.name)});
  std::string out = csv_line(titles);
  const auto number = [](double x) { return std::isnan(x) ? std::string{} : plain_number(x); };
  for (const ComparedRow& row : rows) {
    std::vector<std::string> cells{row.label, fmt::format("{}", row.n_runs), number(row.log_z)};
    for (const Measure& measure : measures_shown) {
      const OverRuns& x = row.*measure.value;
      cells.insert(cells.end(), {number(x.mean), number(x.half_width)});
    }
    const std::vector<std::string> more = beside_of(beside, row.label, "");
    cells.insert(cells.end(), more.begin(), more.end());
    cells.insert(cells.end(), {fmt::format("{}", row.n_pairs), fmt::format("{}", row.n_shared_samples),
                               fmt::format("{}", fmt::join(row.missing_keys, " "))});
    for (const Measure& measure : measures_shown) {
      const OverRuns& x = row.difference.*measure.value;
      cells.insert(cells.end(), {number(x.mean), number(x.half_width)});
    }
    out += csv_line(cells);
  }
  return out;
}

std::string json_text(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  std::string out = "[";
  for (const ComparedRow& row : rows) {
    JsonLine line;
    line.add("label", row.label).add("runs", row.n_runs).add("log_z", row.log_z);
    for (const Measure& measure : measures_shown) {
      const OverRuns& x = row.*measure.value;
      line.add(measure.name, JsonLine().add("mean", x.mean).add("half_width_95", x.half_width));
    }
    JsonLine differences;
    for (const Measure& measure : measures_shown) {
      const OverRuns& x = row.difference.*measure.value;
      differences.add(measure.name, JsonLine().add("mean", x.mean).add("half_width_95", x.half_width));
    }
    line.add("pairs", row.n_pairs).add("shared_samples", row.n_shared_samples);
    line.add_json("missing_keys", json_array(row.missing_keys)).add("difference", differences);
    if (!beside.titles.empty()) {
      const Cells cells = beside_of(beside, row.label, "");
      JsonLine stands;
      for (std::size_t i = 0; i < cells.size(); ++i) stands.add(beside.titles[i], cells[i]);
      line.add("beside", stands);
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
      return both_tables(rows, beside, plain_table, "");
    case CompareFormat::markdown:
    case CompareFormat::md:
      return both_tables(rows, beside, markdown_table, "- ");
    case CompareFormat::latex:
      return both_tables(rows, beside, latex_table, "% ");
    case CompareFormat::csv:
      return csv(rows, beside);
    case CompareFormat::json:
      return json_text(rows, beside);
    case CompareFormat::html:
      return comparison_page(rows, beside);
    case CompareFormat::lm_eval: {
      std::vector<std::filesystem::path> folders;
      for (const ComparedRow& row : rows)
        folders.insert(folders.end(), row.folders.begin(), row.folders.end());
      return lm_eval_text(folders);
    }
  }
  return {};
}

std::string comparison_of(std::span<const std::filesystem::path> folders, const CompareOptions& options) {
  if (options.format == CompareFormat::lm_eval && options.archive.empty()) return lm_eval_text(folders);
  std::vector<RunSummary> runs;
  for (const std::filesystem::path& folder : folders) runs.push_back(read_summary(folder));
  const std::vector<ComparedRow> rows = compare(runs, options.by);
  const BesideColumns beside = options.beside.empty() ? BesideColumns{} : read_beside(options.beside);
  if (!options.archive.empty()) write_comparison(options.archive, rows);
  return to_text(rows, options.format, beside);
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
  for (const Measure& measure : measures_shown) {
    std::vector<double> means, half_widths;
    for (const ComparedRow& row : rows) {
      means.push_back((row.*measure.value).mean);
      half_widths.push_back((row.*measure.value).half_width);
    }
    results.arrays.emplace(fmt::format("{}.mean", measure.name), Array<double>::flat(means));
    results.arrays.emplace(fmt::format("{}.half_width_95", measure.name), Array<double>::flat(half_widths));
  }
  store::write_results(file, results, {.generations = 1});
}

}  // namespace twistor::report
