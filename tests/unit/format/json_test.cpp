// SPDX-License-Identifier: Apache-2.0
// JSON as Python writes it, files that are none, and folders of Hugging Face's cache.
#include "twistor/format/json.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/model_folder.hpp"

namespace twistor::format {
namespace {

using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

TEST(Json, WordsOfPythonStopNothingUntilTheyAreRead) {
  const std::string text =
      R"({"a": NaN, "b": [Infinity, -Infinity, 2], "c": "NaN", "d": {"e": 1.5}, "f\"NaN": 3, "g": "\\", "h": NaN})";
  const nlohmann::json document = parse_json(text, "reading x");
  const JsonView view(document, "reading x");
  EXPECT_EQ(view.at("c").string(), "NaN") << "a text is a text";
  EXPECT_EQ(view.at("d").at("e").number(), 1.5);
  EXPECT_EQ(view.at("f\"NaN").integer(), 3);
  EXPECT_EQ(view.at("b").item(2).integer(), 2);
  EXPECT_THAT(message_of([&] { return view.at("a").number(); }),
              HasSubstr("reading x: a: expected a number, got NaN"));
  EXPECT_THAT(message_of([&] { return view.at("a").string(); }), HasSubstr("expected a string, got NaN"));
  EXPECT_THAT(message_of([&] { return view.at("b").item(0).integer(); }),
              HasSubstr("b[0]: expected an integer, got Infinity"));
  EXPECT_THAT(message_of([&] { return view.at("b").item(1).number(); }),
              HasSubstr("expected a number, got -Infinity"));
  EXPECT_THAT(message_of([&] { return view.at("h").boolean(); }),
              HasSubstr("expected true or false, got NaN"));
}

TEST(Json, OtherWordsAreNoJson) {
  for (const char* text :
       {"{\"a\": Nan}", "{\"a\": Inf}", "[NaNs]", "[--Infinity]", "NaN NaN", "{NaN: 1, Infinity}"})
    EXPECT_THAT(message_of([&] { return parse_json(text, "reading x"); }), HasSubstr("no valid JSON"))
        << text;
}

TEST(JsonFile, APointerOfGitLfsIsNamed) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("config.json",
                                 "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n");
  const Error error = test::error_of([&] { return JsonFile(path); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.text(),
              AllOf(HasSubstr("config.json"), HasSubstr("Git LFS pointer"), HasSubstr("git lfs pull")));
}

class Cache : public testing::Test {
 protected:
  Cache() : entry(folder / "models--owner--name") {
    std::filesystem::create_directories(entry / "snapshots");
  }
  void add(const std::string& revision) const {
    std::filesystem::create_directory(entry / "snapshots" / revision);
  }
  void point(const std::string& text) const {
    std::filesystem::create_directories(entry / "refs");
    folder.write("models--owner--name/refs/main", text);
  }
  test::TemporaryFolder folder;
  std::filesystem::path entry;
};

TEST_F(Cache, IsFollowedToWhatMainNames) {
  add("aaa");
  add("bbb");
  point("bbb");
  for (const auto& path : {entry, entry / "snapshots", entry / "snapshots/", entry / ""})
    EXPECT_TRUE(std::filesystem::equivalent(find_model_folder(path), entry / "snapshots/bbb")) << path;
  EXPECT_EQ(find_model_folder(entry / "snapshots/aaa"), entry / "snapshots/aaa") << "a snapshot is itself";
  EXPECT_EQ(find_model_folder(folder / "other"), folder / "other");
}

TEST_F(Cache, TheOnlySnapshotNeedsNoName) {
  EXPECT_THAT(message_of([&] { return find_model_folder(entry); }), HasSubstr("without any snapshot"));
  add("aaa");
  EXPECT_EQ(find_model_folder(entry), entry / "snapshots/aaa");
  point("gone");
  EXPECT_EQ(find_model_folder(entry), entry / "snapshots/aaa");
}

TEST_F(Cache, SeveralAreNamed) {
  add("bbb");
  add("aaa");
  point("../..");
  const Error error = test::error_of([&] { return find_model_folder(entry); });
  EXPECT_EQ(error.kind(), ErrorKind::no_input);
  EXPECT_THAT(error.text(),
              AllOf(HasSubstr("2 snapshots"), HasSubstr("snapshots/aaa, "), HasSubstr("snapshots/bbb")));
}

}  // namespace
}  // namespace twistor::format
