// SPDX-License-Identifier: Apache-2.0
// TensorBoard's files: bytes worked out by hand or by the reference library, and what a run puts into them.
#include "report/event_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "support/temporary_folder.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;

std::string bytes_of(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

/// The fields of a message by number: integers and the bits of reals as text of their own bytes.
std::multimap<int, std::string> fields_of_message(std::string_view bytes) {
  std::multimap<int, std::string> out;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.at(at++));
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.size()) {
    const std::uint64_t tag = varint();
    const auto field = static_cast<int>(tag >> 3), wire = static_cast<int>(tag & 7);
    if (wire == 0) {
      out.emplace(field, std::to_string(varint()));
      continue;
    }
    const std::size_t size = wire == 1 ? 8 : wire == 5 ? 4 : varint();
    out.emplace(field, std::string(bytes.substr(at, size)));
    at += size;
  }
  return out;
}

/// What is inside the records of a file; each must have its checksums.
std::vector<std::string> records_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, text.data() + at, 8);
    out.push_back(text.substr(at + 12, length));
    EXPECT_EQ(text.substr(at, 16 + length), event_record(out.back()));
    at += 16 + length;
  }
  return out;
}

/// Scalars by step and tag, tags of all else, and where readers start again.
struct Shown {
  std::map<std::pair<std::string, std::string>, float> scalars;
  std::map<std::string, std::string> others;  // the whole value
  std::vector<std::string> restarts;
};

Shown shown_by(const std::vector<std::string>& records) {
  Shown out;
  for (const std::string& record : records) {
    const auto event = fields_of_message(record);
    if (event.contains(7)) out.restarts.push_back(event.find(2)->second);
    if (!event.contains(5)) continue;
    for (const auto& [field, value] : fields_of_message(event.find(5)->second)) {
      const auto parts = fields_of_message(value);
      const std::string tag = parts.find(1)->second;
      if (!parts.contains(2)) {
        out.others[tag] = value;
        continue;
      }
      float number = 0;
      std::memcpy(&number, parts.find(2)->second.data(), 4);
      out.scalars[{event.find(2)->second, tag}] = number;
    }
  }
  return out;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& file : std::filesystem::directory_iterator(folder)) out.push_back(file.path());
  std::ranges::sort(out);
  return out;
}

TEST(EventFiles, ChecksumsAreThoseOfTheReferenceLibrary) {
  // tensorboard.compat.tensorflow_stub.pywrap_tensorflow.masked_crc32c, tensorboard 2.21.
  EXPECT_EQ(masked_crc32c("123456789"), 0xC78AB0E5u);
  EXPECT_EQ(masked_crc32c(std::string(32, '\0')), 0x0FD7FFFAu);
  EXPECT_EQ(masked_crc32c(""), 0xA282EAD8u);
}

TEST(EventFiles, ARecordIsLengthAndBytesWithAChecksumEach) {
  EXPECT_EQ(event_record("abc"), bytes_of({3, 0, 0, 0, 0, 0, 0, 0, 0xB0, 0x99, 0x49, 0x0E, 'a', 'b', 'c',
                                           0x6E, 0x57, 0xF1, 0x21}));
}

TEST(EventFiles, MessagesHaveTheWireFormatOfProtocolBuffers) {
  // The two examples of the format's description.
  EXPECT_EQ(Message().integer(1, 150).bytes(), bytes_of({0x08, 0x96, 0x01}));
  EXPECT_EQ(Message().text(2, "testing").bytes(), bytes_of({0x12, 7}) + "testing");
  EXPECT_EQ(Message().message(16, Message().integer(1, 0)).bytes(), bytes_of({0x82, 0x01, 2, 0x08, 0}));
  // Summaries as protobuf 7 writes them.
  EXPECT_EQ(EventSummary().scalar("a/b", 1.5).message().bytes(),
            bytes_of({10, 10, 10, 3, 'a', '/', 'b', 0x15, 0, 0, 0xC0, 0x3F}));
  const std::vector<double> ones{1, 1};
  EXPECT_EQ(
      EventSummary().histogram("h", ones).message().bytes(),
      bytes_of({0x0A, 0x46, 0x0A, 1, 'h', 0x2A, 0x41, 0x09, 0,    0, 0, 0, 0, 0, 0xF0, 0x3F, 0x11, 0,
                0,    0,    0,    0, 0,   0xF0, 0x3F, 0x19, 0,    0, 0, 0, 0, 0, 0,    0x40, 0x21, 0,
                0,    0,    0,    0, 0,   0,    0x40, 0x29, 0,    0, 0, 0, 0, 0, 0,    0x40, 0x32, 8,
                0,    0,    0,    0, 0,   0,    0xF0, 0x3F, 0x3A, 8, 0, 0, 0, 0, 0,    0,    0,    0x40}));
}

TEST(EventFiles, HistogramsCountEveryFiniteValueOnce) {
  std::vector<double> values{-INFINITY, NAN};
  EXPECT_TRUE(EventSummary().histogram("none", values).is_empty());
  for (int i = 0; i <= 90; ++i) values.push_back(i / 10.0);
  const EventSummary summary = EventSummary().histogram("h", values);
  const auto value = fields_of_message(fields_of_message(summary.message().bytes()).find(1)->second);
  const auto histogram = fields_of_message(value.find(5)->second);
  const auto reals = [&](int field) {
    const std::string& bytes = histogram.find(field)->second;
    std::vector<double> out(bytes.size() / 8);
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  };
  EXPECT_THAT(reals(3), ElementsAre(91));
  const std::vector<double> edges = reals(6), counts = reals(7);
  ASSERT_EQ(edges.size(), 30u);
  double below = 0;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    below += counts[i];
    EXPECT_EQ(below,
              std::ranges::count_if(values, [&](double x) { return std::isfinite(x) && x <= edges[i]; }));
  }
  EXPECT_EQ(edges.back(), 9);
}

class EventSink : public testing::Test {
 protected:
  const test::TemporaryFolder folder;
  const std::filesystem::path events = folder.path() / "tensorboard";

  static estimate::Evaluation evaluation_at(std::int64_t update) {
    estimate::Findings found;
    found.repeats = {{-3, NAN, -2, NAN, NAN, 4, {8, 4}, 3, {8, 6}},
                     {-5, NAN, -2.5, NAN, NAN, 6, {6, 2}, 5, {8, 7}}};
    found.q = {{-2, -INFINITY, 1}, {-3, 1, 2}};
    estimate::Evaluation e = estimate::make_evaluation(found, {.is_event = true});
    e.update = update;
    e.trace.emplace();
    e.trace->K = e.trace->T = 2;
    e.trace->tokens = {7, 8, 7, 9};
    e.trace->log_phi = {0, -3};
    e.trace->log_weight = {std::log(0.25), std::log(0.75)};
    return e;
  }
  static EventOptions options_of_run(std::optional<std::int64_t> updates_done) {
    return {.config_json = R"({"smc":{"particles":8,"trigger":"ess"},"run":{"progress":true,"ids":[1,2]}})",
            .name = "runs/a",
            .decode = [](auto ids) { return ids[1] == 8 ? "a | *b*\nc" : "<fox>"; },
            .updates_done = updates_done};
  }
};

TEST_F(EventSink, ShowsEveryNumberOfUpdatesAndEvaluations) {
  const estimate::Evaluation before = evaluation_at(0), after = evaluation_at(2);
  const auto sink = event_files(events, options_of_run(0));
  sink->evaluation(before);
  sink->update({.update = 1, .loss = 0.5, .log_z_hat = -2, .numbers = {{"f_q", 6}}, .seconds = 3});
  sink->update({.update = 2, .loss = NAN, .log_z_hat = -INFINITY, .is_skipped = true, .seconds = 3});
  sink->evaluation(after);
  struct Run run;
  run.base = &before;
  run.after = &after;
  run.policies = {{"policy.a", after}};
  sink->finished(run);
  ASSERT_EQ(files_in(events).size(), 1u);
  const std::vector<std::string> records = records_of(files_in(events).front());
  EXPECT_THAT(records.front(), HasSubstr("brain.Event:2"));
  const Shown shown = shown_by(records);
  using At = std::pair<std::string, std::string>;
  EXPECT_EQ(shown.scalars.at(At("1", "update/loss")), 0.5f);
  EXPECT_EQ(shown.scalars.at(At("1", "update/f_q")), 6.0f);
  EXPECT_EQ(shown.scalars.at(At("2", "update/skipped")), 1.0f);
  EXPECT_EQ(shown.scalars.at(At("2", "update/log_z_hat")), -INFINITY);
  EXPECT_FALSE(shown.scalars.contains(At("2", "update/loss"))) << "NaN is what is not known";
  for (const char* step : {"0", "2"}) {
    EXPECT_EQ(shown.scalars.at(At(step, "evaluation/log_z.smc_lower.mean")), -2.25f);
    EXPECT_EQ(shown.scalars.at(At(step, "evaluation_by_step/ess.0")), 7.0f);
  }
  EXPECT_EQ(shown.scalars.at(At("0", "base/log_z.smc_lower.mean")), -2.25f);
  EXPECT_EQ(shown.scalars.at(At("2", "policy.a/log_z.smc_lower.mean")), -2.25f);
  // As many as metrics.jsonl has.
  const auto n_evaluated = std::ranges::count_if(shown.scalars, [](const auto& one) {
    return one.first.first == "2" && one.first.second.starts_with("evaluation");
  });
  EXPECT_EQ(static_cast<std::size_t>(n_evaluated), estimate::to_numbers(after, "evaluation").size());
  EXPECT_THAT(shown.restarts, IsEmpty());
}

TEST_F(EventSink, ShowsDistributionsTextsAndParameters) {
  event_files(events, options_of_run(std::nullopt))->evaluation(evaluation_at(0));
  const Shown shown = shown_by(records_of(files_in(events).front()));
  for (const char* tag : {"evaluation/q/log_phi", "evaluation/q/log_weight", "evaluation/sweep/log_weight"})
    EXPECT_THAT(shown.others, Contains(Key(tag)));
  const std::string& text = shown.others.at("evaluation/sweep/texts");
  EXPECT_THAT(text, HasSubstr("| weight | log phi | text |\n|---:|---:|:---|\n"
                              "| 0.750 | -3.0000 | &lt;fox\\> |\n| 0.250 | 0.0000 | a \\| \\*b\\* c |\n"));
  const std::string &start = shown.others.at("_hparams_/session_start_info"),
                    &experiment = shown.others.at("_hparams_/experiment");
  for (const char* name : {"smc.particles", "smc.trigger", "run.progress", "run.ids"}) {
    EXPECT_THAT(start, HasSubstr(name));
    EXPECT_THAT(experiment, HasSubstr(name));
  }
  EXPECT_THAT(start, HasSubstr("[1,2]"));
  EXPECT_THAT(experiment, HasSubstr("evaluation/log_z.smc_lower.mean"));
  EXPECT_THAT(experiment, Not(HasSubstr("evaluation/log_z.smc_upper.mean"))) << "it could not be made";
}

TEST_F(EventSink, StartsAnewGoesOnOrJoins) {
  const auto write = [&](std::optional<std::int64_t> updates_done, std::int64_t update) {
    event_files(events, options_of_run(updates_done))->update({.update = update});
    return shown_by(records_of(files_in(events).back())).restarts;
  };
  EXPECT_THAT(write(0, 1), IsEmpty());
  EXPECT_THAT(write(3, 4), ElementsAre("4")) << "readers forget what is said of updates after the third";
  EXPECT_THAT(write(std::nullopt, 9), IsEmpty());
  EXPECT_EQ(files_in(events).size(), 3u);
  std::ofstream(events / "notes.txt") << "mine";
  (void)event_files(events, options_of_run(0));
  EXPECT_EQ(files_in(events).size(), 2u) << "those of earlier runs are gone, and nothing else";
}

TEST_F(EventSink, AnEvaluationAloneIsShownAtItsEnd) {
  const estimate::Evaluation after = evaluation_at(5);
  struct Run run;
  run.after = &after;
  event_files(events, options_of_run(std::nullopt))->finished(run);
  const Shown shown = shown_by(records_of(files_in(events).front()));
  EXPECT_EQ(shown.scalars.at({"5", "evaluation/log_z.smc_lower.mean"}), -2.25f);
  EXPECT_THAT(shown.others, Contains(Key("_hparams_/session_end_info")));
}

}  // namespace
}  // namespace twistor::report
