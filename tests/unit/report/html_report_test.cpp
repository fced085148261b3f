// SPDX-License-Identifier: Apache-2.0
// The pieces of report.html; whole pages are looked at by tests/system/report_page.py.
#include "twistor/report/html_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "report/html_text.hpp"
#include "report/svg_chart.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"

namespace twistor::report {
namespace {

using testing::ElementsAre, testing::HasSubstr, testing::Not;

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(HtmlText, EscapesWhatWouldBeMarkup) {
  EXPECT_EQ(html("a < b & \"c\" > d\n\té"), "a &lt; b &amp; &quot;c&quot; &gt; d\n\té");
  EXPECT_EQ(html(std::string("\x01\x00", 2)), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(HtmlText, LeavesOutEmptySections) {
  EXPECT_EQ(section("Texts", ""), "");
  EXPECT_EQ(section("All numbers", "x"), "<h2 id=\"all-numbers\">All numbers</h2>\nx");
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_THAT(ticks(0, 500, 5), ElementsAre(0, 100, 200, 300, 400, 500));
  EXPECT_THAT(ticks(-13, -3.5, 5), ElementsAre(-12, -10, -8, -6, -4));
  EXPECT_THAT(ticks(0.011, 0.029, 4),
              ElementsAre(testing::DoubleNear(0.015, 1e-12), testing::DoubleNear(0.02, 1e-12),
                          testing::DoubleNear(0.025, 1e-12)));
  EXPECT_THAT(ticks(2, 2, 5), ElementsAre(2)) << "of one point";
  EXPECT_THAT(ticks(16 - 4e-15, 16, 5), ElementsAre(16 - 4e-15)) << "of what differs by rounding";
  EXPECT_LT(ticks(1e15, 1e15 + 1, 5).size(), 12u);
}

TEST(SvgChart, DrawsPointsWhereTheyBelong) {
  const std::string chart = svg_chart({.title = "Two",
                                       .x_title = "updates",
                                       .y_title = "nats",
                                       .series = {{"a", {{0, 1}, {10, 3}, {20, 2}}}}});
  // The left end at 62, the right at 546; the lowest value below the others.
  const std::size_t points = chart.find("points=\"62.0,");
  ASSERT_NE(points, std::string::npos) << chart;
  EXPECT_THAT(chart, HasSubstr("304.0,"));
  EXPECT_THAT(chart, HasSubstr("546.0,"));
  EXPECT_EQ(count(chart, "<circle"), 3u);
  EXPECT_THAT(chart, HasSubstr("a,10,3\n")) << "the numbers beneath";
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
}

TEST(SvgChart, LeavesGapsWhereNothingIsKnown) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string chart =
      svg_chart({.title = "Gap",
                 .x_title = "t",
                 .y_title = "y",
                 .series = {{"a", {{1, 1}, {2, 2}, {3, nan}, {4, -infinity}, {5, 4}, {6, 5}}}},
                 .reference = nan,
                 .reference_name = "unknown"});
  EXPECT_EQ(count(chart, "<polyline class=\"s0\" points=\""), 2u + 1u) << "two pieces and the legend's";
  EXPECT_THAT(chart, Not(HasSubstr("y1=\"nan")));
  EXPECT_EQ(svg_chart({.title = "Nothing", .x_title = "x", .y_title = "y", .series = {{"a", {{1, nan}}}}}),
            "");
}

// Numbers to copy are what csv readers read: names with commas, and empty fields for what is not known.
TEST(SvgChart, HasItsNumbersAsCsv) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string chart = svg_chart(
      {.title = "Two",
       .x_title = "log of psi, mean",
       .y_title = "nats",
       .series = {{"base model, before", {{0, 1}, {1, nan}, {2, -infinity}}}, {"<none>", {{0, nan}}}}});
  EXPECT_THAT(chart, HasSubstr("<pre>series,&quot;log of psi, mean&quot;,nats\n"
                               "&quot;base model, before&quot;,0,1\n&quot;base model, before&quot;,1,\n"
                               "&quot;base model, before&quot;,2,\n&lt;none&gt;,0,\n</pre>"));
  EXPECT_THAT(chart, Not(HasSubstr("</svg> &lt;none&gt;"))) << "a line without a point is not in the legend";
  EXPECT_THAT(svg_bars("Time", {{"b, c", 0.5}}, "s"), HasSubstr("<pre>name,s\n&quot;b, c&quot;,0.5\n</pre>"));
}

TEST(SvgChart, DrawsIntervalsAndMakesRoomForThem) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string chart = svg_chart({.title = "With",
                                       .x_title = "x",
                                       .y_title = "nats",
                                       .series = {{"a", {{0, 1}, {1, 2}, {2, 3}}, false, {1, nan, 40}}}});
  EXPECT_EQ(count(chart, "<line class=\"interval s0\""), 2u) << "none where none is known";
  EXPECT_THAT(chart, HasSubstr("<pre>series,x,nats,half_width_95\na,0,1,1\na,1,2,\na,2,3,40\n</pre>"));
  EXPECT_THAT(chart, HasSubstr(">5<")) << "the axis reaches beyond the points";
  EXPECT_THAT(chart, Not(HasSubstr(">10<"))) << "and not so far that they look flat";
  // Where a logarithmic axis has no place for the lower end, the line ends at the frame.
  const std::string logarithmic = svg_chart({.title = "KL",
                                             .x_title = "x",
                                             .y_title = "nats",
                                             .series = {{"a", {{0, 10}, {1, 0.01}}, false, {1, 1}}}});
  EXPECT_EQ(count(logarithmic, "<line class=\"interval s0\""), 2u);
  EXPECT_THAT(logarithmic, HasSubstr(">0.01<"));
  EXPECT_THAT(logarithmic, Not(HasSubstr("nan")));
}

TEST(SvgChart, TellsMoreLinesApartThanThereAreColours) {
  Chart chart{.title = "Many", .x_title = "x", .y_title = "y"};
  for (int i = 0; i < 7; ++i)
    chart.series.push_back({std::string(1, static_cast<char>('a' + i)), {{0, i}, {1, i}}});
  const std::string drawn = svg_chart(chart);
  EXPECT_EQ(count(drawn, "<polyline class=\"s0\""), 2u) << "the first, and its legend";
  EXPECT_EQ(count(drawn, "<polyline class=\"s0 dash\""), 2u) << "the sixth";
}

TEST(SvgChart, DrawsWhatDiffersByRoundingAlone) {
  const std::string chart =
      svg_chart({.title = "Flat",
                 .x_title = "t",
                 .y_title = "y",
                 .series = {{"a", {{1, 16}, {2, 16 - 4e-15}, {3, 16}}}, {"b", {{1, 0}}}},
                 .reference = 16,
                 .reference_name = "K"});
  EXPECT_LT(chart.size(), 10000u);
  const std::string flat = svg_chart(
      {.title = "Flat", .x_title = "t", .y_title = "y", .series = {{"a", {{1, 16}, {2, 16 - 4e-15}}}}});
  EXPECT_LT(flat.size(), 10000u);
  EXPECT_THAT(flat, HasSubstr(">16<"));
}

TEST(SvgChart, GoesByPowersOfTenWhereValuesSpanThem) {
  const std::string chart = svg_chart(
      {.title = "KL", .x_title = "updates", .y_title = "nats", .series = {{"a", {{0, 10}, {1, 0.01}}}}});
  for (const char* tick : {">0.01<", ">0.1<", ">1<", ">10<"}) EXPECT_THAT(chart, HasSubstr(tick));
}

TEST(SvgBars, AreSortedAndLeaveOutNothings) {
  const std::string bars = svg_bars("Time", {{"b", 1}, {"none", 0}, {"a", 3}}, "s");
  EXPECT_LT(bars.find(">a<"), bars.find(">b<"));
  EXPECT_THAT(bars, Not(HasSubstr("none")));
  EXPECT_EQ(svg_bars("Time", {{"none", 0}}, "s"), "");
}

TEST(HtmlReport, RefusesAFolderWithoutARun) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::error_of([&] { (void)html_report(folder.path()); }).kind(), ErrorKind::no_input);
  std::ofstream(folder / "summary.json") << "{\"log_z\": {}}";
  EXPECT_EQ(test::error_of([&] { (void)html_report(folder.path()); }).kind(), ErrorKind::data);
}

}  // namespace
}  // namespace twistor::report
