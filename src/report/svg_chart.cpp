// SPDX-License-Identifier: Apache-2.0
// Drawing charts: scales, ticks, lines.
#include "svg_chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "html_text.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {
namespace {

constexpr double chart_width = 560, chart_height = 300, chart_left = 62, chart_right = 14, chart_top = 26,
                 chart_bottom = 40;
constexpr std::size_t n_colours = 5;  // of the page's style; after these they come again, dashed

/// From values to places on the page.
struct Scale {
  double low = 0, high = 1, begin = 0, end = 1;
  bool is_log = false;

  [[nodiscard]] double operator()(double value) const {
    const auto f = [this](double x) { return is_log ? std::log10(x) : x; };
    return begin + (f(value) - f(low)) / (f(high) - f(low)) * (end - begin);
  }
  [[nodiscard]] double inside(double value) const { return std::clamp(value, low, high); }
};

struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double x) {
    if (!std::isfinite(x)) return;
    low = std::min(low, x);
    high = std::max(high, x);
  }
  [[nodiscard]] bool is_empty() const { return low > high; }
};

/// Powers of ten, with 2 and 5 between them where there are few.
std::vector<double> log_ticks(double low, double high) {
  std::vector<double> out;
  const bool is_dense = std::log10(high / low) < 3;
  for (int e = static_cast<int>(std::floor(std::log10(low))); e <= std::log10(high); ++e)
    for (const double m : {1.0, 2.0, 5.0}) {
      const double x = m * std::pow(10.0, e);
      if ((m == 1 || is_dense) && x >= low && x <= high) out.push_back(x);
    }
  return out;
}

/// Values that are closer than this differ by rounding alone.
double smallest_span(double low, double high) {
  return 1e-9 * std::max(std::abs(low), std::abs(high));
}

Scale y_scale(Extent y) {
  Scale scale{.low = y.low, .high = y.high, .begin = chart_height - chart_bottom, .end = chart_top};
  if (y.low > 0 && y.high > 50 * y.low) {
    scale.is_log = true;
    scale.low /= 1.15;
    scale.high *= 1.15;
    return scale;
  }
  const double span = y.high - y.low;
  const double pad =
      span > smallest_span(y.low, y.high) ? 0.06 * span : std::max(1e-6, 0.1 * std::abs(y.high));
  scale.low -= pad;
  scale.high += pad;
  return scale;
}

std::string label(double x, double y, std::string_view text, std::string_view where) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, where,
                     html(text));
}

std::string axes(const Chart& chart, const Scale& x, const Scale& y) {
  std::string out;
  for (const double at : y.is_log ? log_ticks(y.low, y.high) : ticks(y.low, y.high, 5)) {
    out += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n", chart_left,
                       chart_width - chart_right, y(at), y(at));
    out += label(chart_left - 6, y(at) + 4, fmt::format("{:.4g}", at), "end");
  }
  for (const double at : x.is_log ? log_ticks(x.low, x.high) : ticks(x.low, x.high, 6))
    out += label(x(at), chart_height - chart_bottom + 18, fmt::format("{:.6g}", at), "middle");
  out += label((chart_left + chart_width - chart_right) / 2, chart_height - 6, chart.x_title, "middle");
  return out + label(4, 14, chart.y_title, "start");
}

bool has_points(const Series& series) {
  return std::ranges::any_of(series.points, [](const auto& point) { return std::isfinite(point.second); });
}

bool has_intervals(const Chart& chart) {
  return std::ranges::any_of(chart.series, [](const Series& series) {
    return std::ranges::any_of(series.errors, [](double half) { return std::isfinite(half); });
  });
}

/// Room for intervals as well, but no more than the points themselves take above and below them: of two seeds
/// they may be huge, and would flatten the lines.
Extent with_intervals(const Chart& chart, const Extent& points) {
  Extent out = points;
  const bool is_positive = points.low > 0;  // logarithms need it to stay so
  for (const Series& series : chart.series)
    for (std::size_t p = 0; p < series.points.size(); ++p) {
      const double value = series.points[p].second, half = series.error(p);
      if (!std::isfinite(value) || !std::isfinite(half)) continue;
      out.add(value + half);
      if (!is_positive || value > half) out.add(value - half);
    }
  const double span = points.high - points.low;
  if (span > smallest_span(points.low, points.high)) {
    out.low = std::max(out.low, points.low - span);
    out.high = std::min(out.high, points.high + span);
  }
  return out;
}

/// The class of the i-th line.
std::string style_of(const Series& series, std::size_t i) {
  const bool is_dashed = series.is_dashed != (i / n_colours % 2 == 1);
  return fmt::format("s{}{}", i % n_colours, is_dashed ? " dash" : "");
}

std::string line(const Series& series, std::size_t i, const Scale& x, const Scale& y) {
  std::string out, points;
  std::size_t n = 0;
  const auto finish = [&] {
    if (n > 1) out += fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", style_of(series, i), points);
    points.clear();
    n = 0;
  };
  for (std::size_t p = 0; p < series.points.size(); ++p) {
    const auto [at, value] = series.points[p];
    if (!std::isfinite(value)) {
      finish();
      continue;
    }
    if (const double half = series.error(p); half > 0 && std::isfinite(half))
      out += fmt::format(
          "<line class=\"interval s{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
          i % n_colours, x(at), x(at), y(y.inside(value - half)), y(y.inside(value + half)));
    points += fmt::format("{:.1f},{:.1f} ", x(at), y(value));
    ++n;
    if (series.points.size() <= 40)
      out += fmt::format("<circle class=\"s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", i % n_colours,
                         x(at), y(value));
  }
  finish();
  return out;
}

/// One row of names above the chart, beside the y title.
std::string legend(const Chart& chart) {
  if (chart.series.size() == 1 && chart.reference_name.empty()) return {};
  std::string out = "<div class=\"soft\">";
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    if (has_points(chart.series[i]))
      out += fmt::format(
          "<svg style=\"display:inline;width:26px\" width=\"26\" height=\"10\" "
          "aria-hidden=\"true\"><polyline "
          "class=\"{}\" points=\"1,5 25,5\"/></svg> {} &#160; ",
          style_of(chart.series[i], i), html(chart.series[i].name));
  if (!chart.reference_name.empty() && std::isfinite(chart.reference))
    out += fmt::format(
        "<svg style=\"display:inline;width:26px\" width=\"26\" height=\"10\" aria-hidden=\"true\"><line "
        "class=\"reference\" x1=\"1\" x2=\"25\" y1=\"5\" y2=\"5\"/></svg> {}",
        html(chart.reference_name));
  return out + "</div>\n";
}

/// What is not finite is an empty field.
std::string csv_number(double x) {
  return std::isfinite(x) ? plain_number(x) : std::string{};
}

/// Records to copy, as they are read by spreadsheets.
std::string numbers(const std::vector<std::vector<std::string>>& records) {
  std::string out;
  for (const std::vector<std::string>& record : records) out += csv_line(record);
  return details("Numbers", fmt::format("<pre>{}</pre>", html(out)));
}

std::string numbers_of(const Chart& chart) {
  std::vector<std::vector<std::string>> records{{"series", chart.x_title, chart.y_title}};
  const bool has_errors = has_intervals(chart);
  if (has_errors) records.front().emplace_back("half_width_95");
  for (const Series& series : chart.series)
    for (std::size_t p = 0; p < series.points.size(); ++p) {
      const auto [x, y] = series.points[p];
      records.push_back({series.name, csv_number(x), csv_number(y)});
      if (has_errors) records.back().push_back(csv_number(series.error(p)));
    }
  return numbers(records);
}

}  // namespace

std::vector<double> ticks(double low, double high, int n) {
  const double raw = (high - low) / n;
  if (!(high - low > smallest_span(low, high))) return {low};
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double steps[] = {1, 2, 5, 10};
  const double step =
      power * *std::ranges::find_if(steps, [&](double s) { return s * power >= raw * 0.999; });
  const double first = std::ceil(low / step);
  std::vector<double> out;
  for (int i = 0; i <= 2 * n && (first + i) * step <= high + 1e-9 * step; ++i)
    out.push_back(first + i == 0 ? 0.0 : (first + i) * step);
  return out;
}

std::string svg_chart(const Chart& chart) {
  Extent xs, ys;
  for (const Series& series : chart.series)
    for (const auto& [x, y] : series.points)
      if (std::isfinite(y)) {
        xs.add(x);
        ys.add(y);
      }
  if (xs.is_empty()) return {};
  ys = with_intervals(chart, ys);
  const bool has_reference = !chart.reference_name.empty() && std::isfinite(chart.reference);
  if (has_reference) ys.add(chart.reference);
  const bool has_log_x = chart.has_log_x && xs.low > 0 && xs.low < xs.high;
  if (xs.low == xs.high) xs = {xs.low - 0.5, xs.high + 0.5};
  const Scale x{.low = xs.low,
                .high = xs.high,
                .begin = chart_left,
                .end = chart_width - chart_right,
                .is_log = has_log_x},
      y = y_scale(ys);
  std::string out = fmt::format(
      "<figure><figcaption>{}</figcaption>\n{}<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {} "
      "over "
      "{}\">\n",
      html(chart.title), legend(chart), chart_width, chart_height, html(chart.title), html(chart.y_title),
      html(chart.x_title));
  out += axes(chart, x, y);
  if (has_reference)
    out += fmt::format("<line class=\"reference\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                       chart_left, chart_width - chart_right, y(chart.reference), y(chart.reference));
  for (std::size_t i = 0; i < chart.series.size(); ++i) out += line(chart.series[i], i, x, y);
  out += "</svg>\n";
  if (has_intervals(chart)) out += "<p class=\"soft\">Vertical lines are 95 % intervals.</p>\n";
  return out + numbers_of(chart) + "</figure>\n";
}

std::string svg_bars(std::string_view title, std::vector<std::pair<std::string, double>> bars,
                     std::string_view unit) {
  std::erase_if(bars, [](const auto& bar) { return !(bar.second > 0) || !std::isfinite(bar.second); });
  if (bars.empty()) return {};
  std::ranges::stable_sort(bars, std::greater<>{}, [](const auto& bar) { return bar.second; });
  constexpr double row = 24, names = 150, values = 90;
  const double total = row * static_cast<double>(bars.size());
  std::string out = fmt::format(
      "<figure><figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
      html(title), chart_width, total, html(title));
  double y = 0;
  std::vector<std::vector<std::string>> records{{"name", std::string(unit)}};
  for (const auto& [name, value] : bars) {
    records.push_back({name, csv_number(value)});
    const double length = std::max(1.0, value / bars.front().second * (chart_width - names - values));
    out += label(names - 8, y + 16, name, "end");
    out += fmt::format("<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/>\n", names,
                       y + 5, length, row - 10);
    out += label(names + length + 6, y + 16, fmt::format("{:.3g} {}", value, unit), "start");
    y += row;
  }
  return out + "</svg>\n" + numbers(records) + "</figure>\n";
}

}  // namespace twistor::report
