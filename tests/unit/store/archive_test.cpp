// SPDX-License-Identifier: Apache-2.0
// Archives: every type round trips bit for bit, and unfit files are refused with the reason.
#include "twistor/store/archive.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "files.hpp"
#include "twistor/store/container.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::store {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

Archive sample_archive() {
  Archive a;
  const float odd_nan = std::bit_cast<float>(0x7FC12345u);
  a.datasets["f32"] =
      Array<float>{{2, 3}, {1.5F, -0.0F, odd_nan, std::numeric_limits<float>::denorm_min(), 3e38F, -1}};
  a.datasets["group/f64"] = Array<double>{{1, 2, 1}, {0.1, -std::numeric_limits<double>::infinity()}};
  a.datasets["group/deeper/i64"] = Array<std::int64_t>{{2}, {INT64_MIN, INT64_MAX}};
  a.datasets["u8"] = Array<std::uint8_t>{{3}, {0, 255, 7}};
  a.datasets["scalar"] = Array<double>{{}, {42}};
  a.datasets["empty"] = Array<float>{{0, 5}, {}};
  a.datasets["text"] = std::string("zwölf\n\0Bytes", 13);
  a.datasets["no text"] = std::string();
  a.attributes = {{"name", "ä b"}, {"nothing", ""}, {"count", std::int64_t{-5}}, {"log_z", -0.1}};
  return a;
}

std::vector<std::byte> bytes_of(const DatasetView& view) {
  return {view.bytes.begin(), view.bytes.end()};
}

TEST(Crc32c, KnownAnswers) {
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  EXPECT_EQ(crc32c(bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c(bytes("")), 0u);
  EXPECT_EQ(crc32c(bytes("6789"), crc32c(bytes("12345"))), 0xE3069283u);
  const std::vector<std::byte> zeros(32);
  EXPECT_EQ(crc32c(zeros), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST(Archive, RoundTripsEveryTypeBitForBit) {
  const TemporaryFolder folder;
  const Archive written = sample_archive();
  write_archive(folder / "a.h5", written, "results");
  const Archive read = read_archive(folder / "a.h5", "results");
  EXPECT_EQ(read.attributes, written.attributes);
  EXPECT_EQ(read.kind, "results");
  EXPECT_THAT(read.created_by, ::testing::StartsWith("twistor "));
  ASSERT_EQ(read.datasets.size(), written.datasets.size());
  for (const auto& [name, dataset] : written.datasets) {
    const DatasetView expected = view_of(dataset), actual = view_of(read.datasets.at(name));
    EXPECT_EQ(actual.type, expected.type) << name;
    EXPECT_EQ(actual.shape, expected.shape) << name;
    EXPECT_EQ(bytes_of(actual), bytes_of(expected)) << name;  // as bytes: NaN is not equal to itself
  }
}

TEST(Archive, HoldsManyAttributesAndALongText) {
  const TemporaryFolder folder;
  Archive a;
  for (int i = 0; i < 1000; ++i) a.attributes["counter." + std::to_string(i)] = std::int64_t{i};
  a.datasets["config"] = std::string(200000, 'x');
  write_archive(folder / "a.h5", a, "results");
  const Archive read = read_archive(folder / "a.h5", "");
  EXPECT_EQ(read.attributes, a.attributes);
  EXPECT_EQ(read.dataset<std::string>("config"), a.dataset<std::string>("config"));
}

TEST(Archive, EqualContentsGiveEqualFiles) {
  const TemporaryFolder folder;
  write_archive(folder / "a.h5", sample_archive(), "results");
  write_archive(folder / "b.h5", sample_archive(), "results");
  EXPECT_EQ(read_bytes(folder / "a.h5"), read_bytes(folder / "b.h5"));
}

TEST(Archive, IsAnHdf5FileForOtherPrograms) {
  if (std::system("h5dump --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "h5dump is not installed";
  const TemporaryFolder folder;
  write_archive(folder / "a.h5", sample_archive(), "results");
  const std::string command =
      "h5dump -d /group/f64 " + (folder / "a.h5").string() + " | grep -q -- '0.1, -inf\\|(0,0,0): 0.1'";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(Archive, KeepsTheFileThatIsReplaced) {
  const TemporaryFolder folder;
  Archive a;
  for (std::int64_t i = 1; i <= 3; ++i) {
    a.attributes["i"] = i;
    write_archive(folder / "a.h5", a, "results");
  }
  EXPECT_EQ(read_archive(folder / "a.h5", "results").attribute<std::int64_t>("i"), 3);
  EXPECT_EQ(read_archive(folder / "a.previous.h5", "results").attribute<std::int64_t>("i"), 2);
  EXPECT_THAT(folder.names(), ElementsAre("a.h5", "a.previous.h5"));
  write_archive(folder / "b.h5", a, "results", {1, false});
  write_archive(folder / "b.h5", a, "results", {1, false});
  EXPECT_THAT(folder.names(), ElementsAre("a.h5", "a.previous.h5", "b.h5"));
}

TEST(Archive, RemovesLeftoversOfDeadWritersOnly) {
  const TemporaryFolder folder;
  write_bytes(folder / ".a.h5.tmp.12345.abc", {});
  write_bytes(folder / ".a.h5.tmp.12345.abc.old", {});
  write_bytes(folder / ".b.h5.tmp.12345.abc", {});
  write_archive(folder / "a.h5", Archive{}, "results");
  EXPECT_THAT(folder.names(), ElementsAre(".b.h5.tmp.12345.abc", "a.h5"));
}

TEST(Archive, RefusesAnotherKind) {
  const TemporaryFolder folder;
  write_archive(folder / "a.h5", Archive{}, "results");
  const Error error = error_of([&] { (void)read_archive(folder / "a.h5", "checkpoint"); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.what(), HasSubstr("expected a file of kind 'checkpoint', got kind 'results'"));
}

TEST(Archive, RefusesANewerFormat) {
  const TemporaryFolder folder;
  write_archive(folder / "a.h5", sample_archive(), "results");
  auto bytes = read_bytes(folder / "a.h5");
  const std::uint64_t image_end = verify_container(bytes, "checking");
  const std::string map(reinterpret_cast<const char*>(bytes.data() + image_end), bytes.size() - image_end);
  const auto header = make_header(image_end, map, format_version + 1);
  std::copy(header.begin(), header.end(), bytes.begin());
  const Error error = error_of([&] { (void)read_archive(bytes, "a.h5", "results"); });
  EXPECT_THAT(error.what(), HasSubstr("format version 2, this program reads versions 1 to 1"));
}

struct BadFile {
  const char* name;
  std::string bytes;
  const char* message;
};

TEST(Archive, RefusesFilesOfOthers) {
  const std::vector<BadFile> table = {
      {"empty", "", "the file is empty"},
      {"text", "hello, this is a text", "not a file of twistor"},
      {"plain HDF5", "\x89HDF\r\n\x1a\n" + std::string(600, '\0'), "not a file of twistor"},
      {"only the magic", "\x8ATWIST\r\n", "truncated: expected a header of 512 bytes, got 8"},
      {"zeros after the magic", "\x8ATWIST\r\n" + std::string(504, '\0'), "the header is damaged"},
  };
  const TemporaryFolder folder;
  for (const BadFile& bad : table) {
    write_bytes(folder / "bad.h5", std::as_bytes(std::span(bad.bytes)));
    const Error error = error_of([&] { (void)read_archive(folder / "bad.h5", "results"); });
    EXPECT_EQ(error.kind(), ErrorKind::data) << bad.name;
    EXPECT_THAT(error.what(), HasSubstr(bad.message)) << bad.name;
    EXPECT_THAT(error.what(), HasSubstr("bad.h5")) << bad.name;
  }
  EXPECT_EQ(error_of([&] { (void)read_archive(folder / "none.h5", "results"); }).kind(), ErrorKind::no_input);
}

TEST(Archive, RefusesBadMaps) {
  const auto error_for = [](const std::string& map) {
    return std::string(error_of([&] { (void)parse_map(map, 512, 1000, "reading x"); }).what());
  };
  EXPECT_EQ(parse_map("200 1e8 0000abcd a name\n", 512, 1000, "reading x").at(0).name, "a name");
  EXPECT_THAT(error_for(""), HasSubstr("ends at 512 of 1000"));
  EXPECT_THAT(error_for("200 1e8 0 x"), HasSubstr("last line has no end"));
  EXPECT_THAT(error_for("200 1e8 0\n"), HasSubstr("expected lines"));
  EXPECT_THAT(error_for("200 1e8 100000000 x\n"), HasSubstr("expected lines"));
  EXPECT_THAT(error_for("200 fffffffffffffffff 0 x\n"), HasSubstr("expected lines"));
  EXPECT_THAT(error_for("200 ffffffffffffffff 0 x\n"), HasSubstr("expected an extent inside"));
  EXPECT_THAT(error_for("201 1e7 0 x\n"), HasSubstr("expected an extent inside"));
  EXPECT_THAT(error_for("200 1e7 0 x\n"), HasSubstr("ends at 999 of 1000"));
}

TEST(Archive, RefusesToWriteWhatCannotBeRead) {
  const TemporaryFolder folder;
  const auto error_for = [&](const Archive& archive) {
    return std::string(error_of([&] { write_archive(folder / "a.h5", archive, "results"); }).what());
  };
  Archive a;
  a.datasets["x"] = Array<float>{{2, 2}, {1, 2, 3}};
  EXPECT_THAT(error_for(a), HasSubstr("'x': its shape (2, 2) and its 12 bytes do not agree"));
  for (const char* name : {"", "/x", "x/", "a//b", ".", "a/./b", "a\nb"}) {
    Archive b;
    b.datasets[name] = Array<float>::flat({1});
    EXPECT_THAT(error_for(b), HasSubstr("cannot name a dataset")) << name;
  }
  Archive c;
  c.attributes["kind"] = "x";
  EXPECT_THAT(error_for(c), HasSubstr("'kind' is reserved"));
  Archive d;
  d.attributes["long"] = std::string(70000, 'x');
  EXPECT_THAT(error_for(d), HasSubstr("at most 60000 fit"));
  EXPECT_TRUE(folder.names().empty());
}

TEST(Archive, NamesMissingParts) {
  const TemporaryFolder folder;
  write_archive(folder / "a.h5", sample_archive(), "results");
  const Archive a = read_archive(folder / "a.h5", "results");
  EXPECT_THAT(error_of([&] { (void)a.dataset<Array<float>>("nothing"); }).what(),
              HasSubstr("'nothing' is missing"));
  EXPECT_THAT(error_of([&] { (void)a.dataset<Array<float>>("u8"); }).what(),
              HasSubstr("'u8' is of an unexpected type"));
  EXPECT_THAT(error_of([&] { (void)a.attribute<double>("count"); }).what(),
              HasSubstr("of an unexpected type"));
}

}  // namespace
}  // namespace twistor::store
