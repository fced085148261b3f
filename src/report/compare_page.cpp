// SPDX-License-Identifier: Apache-2.0
// A comparison as a page to look at.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "compare_parts.hpp"
#include "course.hpp"
#include "html_parts.hpp"
#include "html_text.hpp"
#include "run_json.hpp"
#include "svg_chart.hpp"

namespace twistor::report {
namespace {

std::vector<std::string> html_cells(const std::vector<std::string>& cells) {
  std::vector<std::string> out;
  for (const std::string& cell : cells) out.push_back(html(cell));
  return out;
}

std::vector<std::vector<std::string>> html_cells(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> out;
  for (const std::vector<std::string>& row : rows) out.push_back(html_cells(row));
  return out;
}

std::string table_of_rows(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  std::vector<std::string> titles = measure_titles("", "runs");
  titles.insert(titles.end(), beside.titles.begin(), beside.titles.end());
  std::vector<std::vector<std::string>> cells;
  for (const ComparedRow& row : rows) {
    std::vector<std::string>& line = cells.emplace_back(measure_cells(row.label, row.n_runs, row));
    const auto found = beside.cells.find(row.label);
    for (std::size_t i = 0; i < beside.titles.size(); ++i)
      line.push_back(found == beside.cells.end() ? "–" : found->second[i]);
  }
  return html_table(html_cells(titles), html_cells(cells)) +
         "<p class=\"soft\">Means over runs that differ in their seeds alone, ± half of the 95 % interval of "
         "Student's t over them; of a single run, by its own standard error. Divergences and bounds in nats; "
         "all runs of one target share one log Z.</p>\n";
}

std::string table_of_differences(std::span<const ComparedRow> rows) {
  if (rows.size() < 2) return {};
  return html_table(html_cells(difference_titles(rows)), html_cells(difference_cells(rows))) +
         fmt::format(
             "<p class=\"soft\">Each row less “{}”. Pairs are runs of one seed in both: their differences "
             "are averaged, so that what the seed gives both does not count. Without two pairs the runs "
             "are taken as independent. A dash: another target.</p>\n",
             html(rows.front().label));
}

std::string notes_on(std::span<const ComparedRow> rows) {
  std::string out;
  for (const std::string& note : notes_of(rows)) out += "<li>" + html(note) + "</li>\n";
  return out.empty() ? out : "<ul>\n" + out + "</ul>\n";
}

/// The mean over lines at those x that all of them have, with Student's interval over them; one line as it
/// is.
Series mean_series(std::string name, const std::vector<Series>& lines) {
  Series out{std::move(name)};
  if (lines.size() == 1) {
    out.points = lines.front().points;
    out.errors = lines.front().errors;
    return out;
  }
  std::map<double, std::vector<double>> values;
  for (const Series& line : lines)
    for (const auto& [x, y] : line.points)
      if (std::isfinite(y)) values[x].push_back(y);
  for (const auto& [x, ys] : values) {
    if (ys.size() != lines.size()) continue;
    const estimate::Estimate mean = estimate::mean_estimate(ys);
    out.points.emplace_back(x, mean.mean);
    out.errors.push_back(estimate::half_width_95(mean));
  }
  return out;
}

/// One number of metrics.jsonl, a line for each row.
std::string overlaid(std::string title, std::string unit, std::span<const std::vector<Course>> courses,
                     std::span<const ComparedRow> rows, const auto& series_of) {
  Chart chart{.title = std::move(title), .x_title = "updates", .y_title = std::move(unit)};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<Series> lines;
    for (const Course& course : courses[i]) lines.push_back(series_of(course));
    chart.series.push_back(mean_series(rows[i].label, lines));
  }
  std::erase_if(chart.series, [](const Series& series) { return series.points.empty(); });
  return svg_chart(chart);
}

std::string courses_of(std::span<const ComparedRow> rows) {
  std::vector<std::vector<Course>> courses;
  for (const ComparedRow& row : rows) {
    std::vector<Course>& of_row = courses.emplace_back();
    for (const std::string& folder : row.folders)
      of_row.emplace_back(std::filesystem::path(folder) / "metrics.jsonl");
  }
  std::string out;
  const auto evaluated = [&](const char* title, const char* key) {
    out += overlaid(title, "nats", courses, rows,
                    [&](const Course& course) { return course.evaluated({}, key); });
  };
  evaluated("SMC lower bound of log Z", "evaluation.log_z.smc_lower");
  evaluated("SMC upper bound of log Z", "evaluation.log_z.smc_upper");
  evaluated("KL(q ‖ σ)", "evaluation.kl.q_sigma");
  evaluated("KL(σ ‖ q)", "evaluation.kl.sigma_q");
  out += overlaid("E log φ of what is sampled while learning", "nats", courses, rows,
                  [](const Course& course) { return course.updated({}, "log_phi"); });
  return side_by_side(out);
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Where labels are the values of one key, and numbers: each measure over them.
std::string sweep_charts(std::span<const ComparedRow> rows) {
  std::map<double, const ComparedRow*> by_value;
  for (const ComparedRow& row : rows)
    if (const std::optional<double> value = number_in(row.label)) by_value[*value] = &row;
  if (by_value.size() != rows.size() || rows.size() < 3) return {};
  std::string out;
  for (const Measure& measure : measures_shown) {
    Chart chart{.title = measure.title, .x_title = "value of the key that differs", .y_title = "nats"};
    Series& mean = chart.series.emplace_back(Series{"mean"});
    for (const auto& [value, row] : by_value) {
      const OverRuns& y = row->*measure.value;
      mean.points.emplace_back(value, y.mean);
      mean.errors.push_back(y.half_width);
    }
    out += svg_chart(chart);
  }
  return side_by_side(out);
}

/// Runs that swept over K.
std::string grids_of(std::span<const ComparedRow> rows) {
  std::vector<std::pair<std::string, nlohmann::json>> summaries;
  for (const ComparedRow& row : rows)
    for (const std::string& folder : row.folders) {
      if (!std::filesystem::exists(std::filesystem::path(folder) / "summary.json")) continue;
      nlohmann::json summary = read_summary_json(folder);
      if (at(summary, {"sweep"}).is_object())
        summaries.emplace_back(row.folders.size() > 1 ? folder : row.label, std::move(summary));
    }
  return grid_charts(summaries);
}

std::string folders_of(std::span<const ComparedRow> rows) {
  std::string out;
  for (const ComparedRow& row : rows) {
    out += fmt::format("<dt>{}</dt><dd>", html(row.label));
    for (const std::string& folder : row.folders) out += html(folder) + "\n";
    out += "</dd>\n";
  }
  return "<dl>\n" + out + "</dl>\n";
}

}  // namespace

std::string comparison_page(std::span<const ComparedRow> rows, const BesideColumns& beside) {
  std::size_t n_runs = 0;
  for (const ComparedRow& row : rows) n_runs += row.folders.size();
  std::string body =
      fmt::format("<h1>Runs compared</h1>\n<p class=\"soft\">{} runs in {} rows.</p>\n", n_runs, rows.size());
  body += section("Means over seeds", table_of_rows(rows, beside));
  body += section("Differences", table_of_differences(rows));
  body += section("What else to know", notes_on(rows));
  body += section("Over the key that differs", sweep_charts(rows));
  body += section("Several K", grids_of(rows));
  body += section("Learning", courses_of(rows));
  body += section("Runs", folders_of(rows));
  body +=
      section("All numbers", details("The table in full, as CSV",
                                     "<pre>" + html(to_text(rows, CompareFormat::csv, beside)) + "</pre>"));
  return html_page("Runs compared – twistor", body);
}

}  // namespace twistor::report
