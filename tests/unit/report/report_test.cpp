// SPDX-License-Identifier: Apache-2.0
// JSON lines, metrics files, progress and tables.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/report/metrics.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/table.hpp"

namespace twistor::report {
namespace {

using ::testing::HasSubstr;
constexpr double inf = std::numeric_limits<double>::infinity();

class Files : public ::testing::Test {
 protected:
  Files() {
    std::string name = (std::filesystem::temp_directory_path() / "twistor_report_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
  }
  ~Files() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] static std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  std::filesystem::path folder_;
};

TEST(JsonNumber, ReadsBackToTheSameBits) {
  Philox random(7, Stream::test, 0, 0);
  for (int i = 0; i < 20000; ++i) {
    const double x = std::bit_cast<double>(random.next_u64());
    if (!std::isfinite(x)) continue;
    const auto read = nlohmann::json::parse(json_number(x)).get<double>();
    ASSERT_EQ(std::bit_cast<std::uint64_t>(read), std::bit_cast<std::uint64_t>(x)) << json_number(x);
  }
  for (const double x : {0.1, 5e-324, 1.7976931348623157e308, 1e21, 123456789012345680.0}) {
    EXPECT_EQ(std::strtod(json_number(x).c_str(), nullptr), x);
  }
}

TEST(JsonNumber, WritesWhatJsonCannotSay) {
  EXPECT_EQ(json_number(inf), "\"inf\"");
  EXPECT_EQ(json_number(-inf), "\"-inf\"");
  EXPECT_EQ(json_number(std::nan("")), "null");
  EXPECT_EQ(json_number(-std::nan("")), "null");
  EXPECT_EQ(plain_number(-inf), "-inf");
  EXPECT_EQ(plain_number(-std::nan("")), "nan");
}

TEST(JsonLine, KeepsOrderAndTypes) {
  const std::vector<double> values{1.5, -inf};
  const std::string text = JsonLine()
                               .add("update", 3)
                               .add("loss", 0.1)
                               .add("big", std::uint64_t{18446744073709551615u})
                               .add("done", true)
                               .add("text", "a \"b\"\n\xC3\xA4\xFF")
                               .add("values", std::span<const double>(values))
                               .add("smc_lower", estimate::Estimate{-6.5, 0.25, 4})
                               .add("smc_upper", estimate::Estimate{})
                               .add_all(std::map<std::string, double>{{"x", 1.0}, {"y", 0.5}})
                               .add_json("exact", "null")
                               .text();
  EXPECT_EQ(
      text,
      R"({"update":3,"loss":0.1,"big":18446744073709551615,"done":true,"text":"a \"b\"\nä)"
      "\xEF\xBF\xBD"
      R"(","values":[1.5,"-inf"],"smc_lower":{"mean":-6.5,"se":0.25,"n":4},"smc_upper":null,"x":1,"y":0.5,"exact":null})");
  EXPECT_TRUE(nlohmann::json::accept(text));
  EXPECT_EQ(JsonLine().text(), "{}");
  EXPECT_THROW((void)JsonLine().add("a", 1).add("a", 2), Error);
}

TEST(Indented, ChangesNothingButBlanks) {
  const std::string json =
      R"({"a":[1,0.10000000000000001,{}],"b":{"c":"x, {y}: \"z\\"},"d":[],"e":{"f":null}})";
  const std::string text = indented(json);
  EXPECT_EQ(nlohmann::ordered_json::parse(text), nlohmann::ordered_json::parse(json));
  EXPECT_THAT(text, HasSubstr("\n    0.10000000000000001,\n    {}\n  ],\n"));
  EXPECT_THAT(text, HasSubstr("  \"d\": [],\n"));
  EXPECT_EQ(indented(text), text);
  EXPECT_THROW((void)indented("{\"a\":"), Error);
}

TEST_F(Files, MetricsAppendsWholeLines) {
  MetricsWriter metrics(folder_ / "metrics.jsonl");
  metrics.write(JsonLine().add("update", 1).add("loss", 0.5));
  EXPECT_EQ(text_of(metrics.path()), "{\"update\":1,\"loss\":0.5}\n");  // already there, not only at the end
  metrics.write(JsonLine().add("update", 2).add("loss", 0.25));
  EXPECT_EQ(text_of(metrics.path()), "{\"update\":1,\"loss\":0.5}\n{\"update\":2,\"loss\":0.25}\n");
  EXPECT_EQ(text_of(MetricsWriter(folder_ / "metrics.jsonl").path()), "");  // a new run starts anew
}

TEST_F(Files, MetricsDropsLinesAfterTheCheckpoint) {
  const auto path = folder_ / "metrics.jsonl";
  std::ofstream(path)
      << "{\"event\":\"start\"}\n{\"update\":1}\n{\"update\":2}\n{\"update\":3}\n{\"event\":\"x\"}\n"
         "{\"update\":2,\"los";
  MetricsWriter metrics(path, 2);
  metrics.write(JsonLine().add("update", 3).add("again", true));
  EXPECT_EQ(text_of(path),
            "{\"event\":\"start\"}\n{\"update\":1}\n{\"update\":2}\n{\"event\":\"x\"}\n{\"update\":3,"
            "\"again\":true}\n");
}

TEST_F(Files, MetricsResumesWithoutAFile) {
  const MetricsWriter metrics(folder_ / "metrics.jsonl", 5);
  EXPECT_EQ(text_of(metrics.path()), "");
}

TEST_F(Files, MetricsNeedsAFolder) {
  const Error error = test::error_of([&] { return MetricsWriter(folder_ / "none" / "metrics.jsonl"); });
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl"));
}

TEST_F(Files, MetricsReportsAFullDisk) {
  // /dev/full takes no byte; the writer reaches it through the name of its own file.
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP();
  MetricsWriter metrics(folder_ / "metrics.jsonl");
  const int full = ::open("/dev/full", O_WRONLY);
  // The writer's descriptor is the only one of this process on that file.
  for (int fd = 3; fd < full; ++fd) {
    std::error_code ignored;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored);
    if (target == metrics.path()) ::dup2(full, fd);
  }
  ::close(full);
  EXPECT_THROW(metrics.write(JsonLine().add("update", 1)), Error);
}

TEST_F(Files, TextIsReplacedWhole) {
  const auto path = (folder_ / "summary.json").string();
  write_text_atomically(path, "old and long\n");
  write_text_atomically(path, "new\n");
  EXPECT_EQ(text_of(path), "new\n");
  EXPECT_EQ(
      std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
}

/// What a progress line writes to a pipe.
std::string written_by(const std::function<void(ProgressOptions)>& action) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  ProgressOptions options;
  options.descriptor = ends[1];
  options.stamp = [] { return std::string(); };
  action(options);
  ::close(ends[1]);
  std::string text(4096, '\0');
  const ssize_t n = ::read(ends[0], text.data(), text.size());
  ::close(ends[0]);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

TEST(Progress, OutsideTerminalsWritesFewWholeLines) {
  const std::string text = written_by([](ProgressOptions options) {
    ProgressLine line(options);
    for (int i = 0; i < 1000; ++i) line.update("update " + std::to_string(i) + "\r\n");
  });
  EXPECT_EQ(text, "update 0  \nupdate 999  \n");  // the first at once, the last at the end
}

TEST(Progress, WholeLinesBearTheTimeAndGrowRarer) {
  double now = 100;
  std::vector<double> shown;
  const std::string text = written_by([&](ProgressOptions options) {
    options.now_s = [&] { return now; };
    options.stamp = [&] {
      shown.push_back(now);
      return "at " + std::to_string(static_cast<int>(now));
    };
    options.log_every_s = 4;
    options.log_growth = 2;
    options.log_most_s = 10;
    ProgressLine line(options);
    for (; now < 140; ++now) line.update("x");
    line.finish();
    line.finish();
  });
  // Pauses of 4, 8, 10, 10 seconds; the last text was held back.
  EXPECT_EQ(shown, (std::vector<double>{100, 104, 112, 122, 132, 140}));
  EXPECT_EQ(text, "at 100 x\nat 104 x\nat 112 x\nat 122 x\nat 132 x\nat 140 x\n");
}

TEST(Progress, ToldTheAmountItTellsTheTimeLeft) {
  double now = 7;
  const std::string text = written_by([&](ProgressOptions options) {
    options.now_s = [&] { return now; };
    options.log_every_s = 0;
    ProgressLine line(options);
    line.update("a", {30, 100});  // gone on from 30: those were not done here
    now += 20;
    line.update("a", {40, 100});  // 10 in 20 s, 60 are missing
    now += 60;
    line.update("a", {100, 100});
    line.update("b", {0, 3});  // another stage with a rate of its own
    now += 100;
    line.update("b", {1, 3});
    line.update("c");
  });
  EXPECT_EQ(text, "a\na  ETA 2 min\na\nb\nb  ETA 3 min 20 s\nc\n");
}

TEST(Progress, SaysDurationsAsPeopleDo) {
  EXPECT_EQ(duration_text(0.2), "1 s");
  EXPECT_EQ(duration_text(59), "59 s");
  EXPECT_EQ(duration_text(200), "3 min 20 s");
  EXPECT_EQ(duration_text(7500), "2 h 5 min");
  EXPECT_EQ(duration_text(86400 * 3 + 4 * 3600), "3 d 4 h");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "years");
}

TEST(Progress, CanBeSwitchedOff) {
  const std::string text = written_by([](ProgressOptions options) {
    options.enabled = false;
    ProgressLine line(options);
    line.update("a");
  });
  EXPECT_EQ(text, "");
}

TEST(Progress, OnATerminalRewritesOneLine) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0)
    GTEST_SKIP() << "no pseudo-terminals here";
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  if (terminal < 0) GTEST_SKIP() << "no pseudo-terminals here";
  {
    ProgressOptions options;
    options.descriptor = terminal;
    options.terminal_every_s = 0;
    ProgressLine line(options);
    line.update("first");
    line.update(std::string(78, 'x') + "äöü");  // 84 bytes on 80 columns
  }
  // The terminal hands over what was written in pieces, and some of it a moment later.
  const std::string expected = "\rfirst\x1b[K\r" + std::string(78, 'x') + "\x1b[K\r\n";
  std::string text;
  pollfd ready{master, POLLIN, 0};
  while (text.size() < expected.size() && ::poll(&ready, 1, 2000) > 0) {
    char piece[512];
    const ssize_t n = ::read(master, piece, sizeof piece);
    if (n <= 0) break;
    text.append(piece, static_cast<std::size_t>(n));
  }
  EXPECT_EQ(text, expected);
  ::close(terminal);
  ::close(master);
}

TEST(Table, AlignsByCharacters) {
  Table table({"bound", "log Z", "se"});
  table.add_row({"größer", "-6.91", "0.1"})
      .add_row({"x", "-10.5", ""})
      .add_rule()
      .add_row({"exact", "-7", ""});
  EXPECT_EQ(table.text(),
            "bound   log Z   se\n"
            "------------------\n"
            "größer  -6.91  0.1\n"
            "x       -10.5\n"
            "------------------\n"
            "exact      -7\n");
  EXPECT_THROW(table.add_row({"too", "short"}), Error);
}

TEST(Table, GoesOnBelowWhereLinesAreFull) {
  Table table({"", "first", "second"});
  table.add_row({"row", "1", "2"});
  EXPECT_EQ(table.text(18), table.text());
  EXPECT_EQ(table.text(17),
            "     first\n"
            "----------\n"
            "row      1\n"
            "\n"
            "     second\n"
            "-----------\n"
            "row       2\n");
}

}  // namespace
}  // namespace twistor::report
