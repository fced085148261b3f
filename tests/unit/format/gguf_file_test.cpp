// SPDX-License-Identifier: Apache-2.0
// The GGUF container: what is read, and what is refused with which message.
#include "twistor/format/gguf_file.hpp"

#include <gmock/gmock.h>

#include "support/gguf_bytes.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"

namespace twistor::format {
namespace {

using test::as_bytes;
using test::GgufBytes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

GgufBytes every_type() {
  GgufBytes gguf;
  gguf.value<std::uint8_t>("u8", 0, 200)
      .value<std::int8_t>("i8", 1, -3)
      .value<std::uint16_t>("u16", 2, 60000);
  gguf.value<std::int16_t>("i16", 3, -300).u32("u32", 4'000'000'000u).value<std::int32_t>("i32", 5, -70000);
  gguf.value<float>("f32", 6, 1.5f).value<std::uint8_t>("bool", 7, 1).string("string", "text");
  gguf.value<std::uint64_t>("u64", 10, 1ull << 40)
      .value<std::int64_t>("i64", 11, -(1ll << 40))
      .value<double>("f64", 12, 0.1);
  gguf.strings("strings", {"", "a", "bc"}).i32s("i32s", {1, -2, 3});
  gguf.array_head("f32s", 6, 2);
  GgufBytes::put(gguf.header_values, 0.25f);
  GgufBytes::put(gguf.header_values, -1.0f);
  return gguf;
}

TEST(GgufFile, ReadsEveryType) {
  for (const std::uint32_t version : {2u, 3u}) {
    GgufBytes gguf = every_type();
    gguf.version = version;
    const std::string bytes = gguf.build();
    const GgufFile file = GgufFile::parse(as_bytes(bytes), "test");
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.integer("u8"), 200);
    EXPECT_EQ(file.integer("i8"), -3);
    EXPECT_EQ(file.integer("u16"), 60000);
    EXPECT_EQ(file.integer("i16"), -300);
    EXPECT_EQ(file.integer("u32"), 4'000'000'000);
    EXPECT_EQ(file.integer("i32"), -70000);
    EXPECT_EQ(file.integer("u64"), std::int64_t{1} << 40);
    EXPECT_EQ(file.integer("i64"), -(std::int64_t{1} << 40));
    EXPECT_EQ(file.number("f32"), 1.5);
    EXPECT_EQ(file.number("f64"), 0.1);
    EXPECT_TRUE(file.boolean("bool"));
    EXPECT_EQ(file.string("string"), "text");
    EXPECT_THAT(file.strings("strings"), ElementsAre("", "a", "bc"));
    EXPECT_THAT(file.integers("i32s"), ElementsAre(1, -2, 3));
    EXPECT_THAT(file.numbers("f32s"), ElementsAre(0.25, -1.0));
    EXPECT_EQ(file.keys().size(), 15u);
    EXPECT_EQ(file.find_integer("nothing"), std::nullopt);
  }
}

TEST(GgufFile, ReadsTensorsOutermostFirst) {
  GgufBytes gguf;
  gguf.tensor("w", 0, {3, 2}, std::string(24, 'x')).tensor("b", 0, {2}, std::string(8, 'y'));
  const std::string bytes = gguf.build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "test");
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(file.tensors()[1].offset, 32u);
  EXPECT_EQ(file.data()[32], std::byte{'y'});
}

TEST(GgufFile, AlignmentsOfAnyTypeThatArePowersOfTwo) {
  const auto with = [](std::uint64_t alignment, auto add) {
    GgufBytes gguf;
    gguf.alignment = alignment;
    add(gguf);
    gguf.tensor("w", 0, {1}, "abcd").tensor("v", 0, {1}, "efgh");
    return gguf.build();
  };
  const auto check = [](const std::string& bytes, std::uint64_t offset) {
    const GgufFile file = GgufFile::parse(as_bytes(bytes), "test");
    EXPECT_EQ(file.tensors()[1].offset, offset);
    EXPECT_EQ(file.data()[offset], std::byte{'e'});
  };
  check(with(64, [](GgufBytes& g) { g.u32("general.alignment", 64); }), 64);
  check(with(64, [](GgufBytes& g) { g.value<std::int32_t>("general.alignment", 5, 64); }), 64);
  check(with(8, [](GgufBytes& g) { g.value<std::uint64_t>("general.alignment", 10, 8); }), 8);
  for (const std::int32_t bad : {0, 48, -32})
    EXPECT_THAT(
        [&] {
          const std::string bytes =
              with(48, [&](GgufBytes& g) { g.value<std::int32_t>("general.alignment", 5, bad); });
          (void)GgufFile::parse(as_bytes(bytes), "test");
        },
        ThrowsMessage<Error>(HasSubstr("general.alignment: expected a power of two")))
        << bad;
}

TEST(GgufFile, BigEndianIsNamed) {
  for (const std::uint32_t version : {0x02000000u, 0x03000000u}) {
    GgufBytes gguf;
    gguf.version = version;
    const std::string bytes = gguf.build();
    EXPECT_THAT([&] { (void)GgufFile::parse(as_bytes(bytes), "test"); },
                ThrowsMessage<Error>(HasSubstr("the file is big-endian")));
  }
}

TEST(GgufFile, HonoursTheAlignment) {
  GgufBytes gguf;
  gguf.alignment = 128;
  gguf.u32("general.alignment", 128).tensor("w", 0, {1}, "abcd");
  const std::string bytes = gguf.build();
  EXPECT_EQ(GgufFile::parse(as_bytes(bytes), "test").data()[0], std::byte{'a'});
}

TEST(GgufFile, OpenKeepsTheFileMapped) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x.gguf", every_type().build());
  const auto copy = [&] { return GgufFile::open(path); }();
  EXPECT_EQ(copy.string("string"), "text");
}

TEST(GgufFile, LookupsNameFileAndKey) {
  const std::string bytes = every_type().build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "model.gguf");
  EXPECT_THAT([&] { (void)file.integer("absent"); },
              ThrowsMessage<Error>(AllOf(HasSubstr("model.gguf"),
                                         HasSubstr("key 'absent': expected an integer, got no such key"))));
  EXPECT_THAT([&] { (void)file.integer("f32"); },
              ThrowsMessage<Error>(HasSubstr("key 'f32': expected an integer, got f32")));
  EXPECT_THAT([&] { (void)file.number("i32"); }, ThrowsMessage<Error>(HasSubstr("got i32")));
  EXPECT_THAT([&] { (void)file.string("strings"); },
              ThrowsMessage<Error>(HasSubstr("got an array of string")));
  EXPECT_THAT([&] { (void)file.strings("i32s"); }, ThrowsMessage<Error>(HasSubstr("got an array of i32")));
  EXPECT_THAT([&] { (void)file.strings("string"); }, ThrowsMessage<Error>(HasSubstr("got string")));
  EXPECT_THAT([&] { (void)file.boolean("u8"); }, ThrowsMessage<Error>(HasSubstr("expected a bool, got u8")));
}

TEST(GgufFile, IntegersBeyondInt64AreRefused) {
  const std::string bytes = GgufBytes().value<std::uint64_t>("big", 10, 1ull << 63).build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "test");
  EXPECT_THAT([&] { (void)file.integer("big"); }, ThrowsMessage<Error>(HasSubstr("below 2^63")));
}

struct Malformed {
  std::string what;
  std::string bytes;
  std::string message;
};

std::vector<Malformed> malformed_files() {
  const auto built = [](auto change) {
    GgufBytes gguf;
    change(gguf);
    return gguf.build();
  };
  const std::uint64_t huge = ~std::uint64_t{0};
  std::vector<Malformed> list = {
      {"empty", "", "truncated in the magic number"},
      {"wrong magic", "GGML\3\0\0\0", "expected the magic 'GGUF'"},
      {"version 1", built([](auto& g) { g.version = 1; }), "expected GGUF version 2 or 3, got 1"},
      {"version 4", built([](auto& g) { g.version = 4; }), "expected GGUF version 2 or 3, got 4"},
      {"big-endian", built([](auto& g) { g.version = 0x03000000; }), "big-endian"},
      {"absurd tensor count", built([=](auto& g) { g.n_tensors = huge; }), "expected at most 0 tensors"},
      {"absurd key count", built([=](auto& g) { g.n_values = 1ull << 60; }),
       "expected at most 0 metadata keys"},
      {"key count one too many", built([](auto& g) { g.string("a", "a longer text").n_values = 2; }),
       "truncated in a metadata key"},
      {"absurd key length",
       built([=](auto& g) { g.u32("abcdefgh", 1).header_values.replace(0, 8, std::string(8, '\xff')); }),
       "truncated in a metadata key"},
      {"absurd string", built([=](auto& g) {
         g.string("k", "text");
         g.header_values.replace(13, 8, std::string(8, '\xff'));
       }),
       "truncated in the value of 'k'"},
      {"absurd array of strings", built([=](auto& g) { g.array_head("k", 8, huge); }),
       "expected at most 0 strings in the value of 'k'"},
      {"absurd array of numbers", built([=](auto& g) { g.array_head("k", 10, huge / 8 + 2); }),
       "elements in the value of 'k'"},
      {"array of arrays", built([=](auto& g) { g.array_head("k", 9, 1); }), "got an array of type 9"},
      {"unknown type", built([](auto& g) { g.template value<std::uint64_t>("k", 13, 0); }),
       "the value of 'k': expected a number, bool"},
      {"key twice", built([](auto& g) { g.u32("k", 1).u32("k", 2); }), "the key 'k' appears twice"},
      {"alignment 0", built([](auto& g) { g.u32("general.alignment", 0); }),
       "general.alignment: expected a power of two"},
      {"alignment 24", built([](auto& g) { g.u32("general.alignment", 24); }),
       "general.alignment: expected a power of two"},
      {"alignment 2^31", built([](auto& g) { g.u32("general.alignment", 1u << 31); }),
       "general.alignment: expected a power of two"},
      {"alignment of the wrong type", built([](auto& g) { g.string("general.alignment", "32"); }),
       "expected an integer, got string"},
      {"five dimensions", built([](auto& g) {
         g.tensor("w", 0, {1, 1, 1, 1, 1}, "abcd");
       }),
       "expected at most 4 dimensions, got 5"},
      {"overflowing shape", built([](auto& g) {
         g.tensor("w", 0, {1ull << 32, 1ull << 32}, "abcd");
       }),
       "tensor 'w': the number of elements overflows"},
      {"negative size", built([=](auto& g) { g.tensor("w", 0, {huge}, "abcd"); }),
       "tensor 'w': the number of elements overflows"},
      {"tensor twice", built([](auto& g) { g.tensor("w", 0, {1}, "abcd").tensor("w", 0, {1}, "abcd"); }),
       "tensor 'w' appears twice"},
      {"odd offset", built([](auto& g) { g.tensor("v", 0, {1}, "abcd").tensor_entry("w", 0, {1}, 4); }),
       "multiple of 32, got 4"},
      {"offset past the end",
       built([](auto& g) { g.tensor("v", 0, {1}, "abcd").tensor_entry("w", 0, {1}, 1ull << 40); }),
       "expected an offset of at most 32"},
      {"no padding", built([](auto& g) { g.tensor_entry("w", 0, {1}, 0).alignment = 1; }),
       "truncated in the padding"},
  };
  return list;
}

TEST(GgufFile, MalformedFilesGetOneClearError) {
  for (const Malformed& item : malformed_files())
    EXPECT_THAT([&] { (void)GgufFile::parse(as_bytes(item.bytes), "bad.gguf"); },
                ThrowsMessage<Error>(AllOf(HasSubstr("bad.gguf"), HasSubstr(item.message))))
        << item.what;
}

TEST(GgufFile, EveryTruncationIsRefused) {
  GgufBytes gguf = every_type();
  gguf.tensor("w", 0, {3, 2}, std::string(24, 'x'));
  const std::string bytes = gguf.build();
  for (std::size_t size = 0; size < bytes.size() - 32; ++size)
    EXPECT_THROW((void)GgufFile::parse(as_bytes(bytes.substr(0, size)), "cut"), Error) << size;
}

}  // namespace
}  // namespace twistor::format
