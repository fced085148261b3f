// SPDX-License-Identifier: Apache-2.0
// Line charts and bars as inline SVG, with their numbers beneath.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace twistor::report {

/// One line: points in the order of x; a y that is not finite leaves a gap.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points{};
  bool is_dashed = false;
  /// Half of the 95 % interval of each point, drawn where it is finite; or empty.
  std::vector<double> errors{};

  /// Of point i; NaN where none is known.
  [[nodiscard]] double error(std::size_t i) const {
    return i < errors.size() ? errors[i] : std::numeric_limits<double>::quiet_NaN();
  }
};

struct Chart {
  std::string title;    ///< also its heading for those who do not see it
  std::string x_title;  ///< "updates"
  std::string y_title;  ///< with its unit
  std::vector<Series> series{};
  bool has_log_x = false;  ///< x by powers of ten; all x > 0
  /// A horizontal line, drawn if it is finite, and its name.
  double reference = 0;
  std::string reference_name{};
};

/// A <figure>: the chart with axes, intervals and legend, and its numbers as CSV to copy, in full. The y axis
/// is logarithmic where all values are positive and span more than a factor of 50. Empty if no series has a
/// point; a series without one is not in the legend. Colours are classes s0, s1, ... of the page's style.
/// *Local.*
[[nodiscard]] std::string svg_chart(const Chart& chart);

/// A <figure> of horizontal bars, longest first, with their values as text and as CSV to copy. Empty without
/// any. *Local.*
[[nodiscard]] std::string svg_bars(std::string_view title, std::vector<std::pair<std::string, double>> bars,
                                   std::string_view unit);

/// Round numbers inside [low, high], about n of them. *Local.*
[[nodiscard]] std::vector<double> ticks(double low, double high, int n);

}  // namespace twistor::report
