// SPDX-License-Identifier: Apache-2.0
// What is written reads back, and its bytes are those of the format.
#include "twistor/format/safetensors_writer.hpp"

#include <gmock/gmock.h>

#include "support/error_of.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

using testing::ElementsAre;

const std::vector<float> six = {1, 2, 3, 4, 5, 6}, two = {-0.5F, 1e-30F};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(SafetensorsWriter, BytesAreThoseOfTheFormat) {
  const std::vector<float> one = {1};
  const std::string expected =
      std::string("\x78\0\0\0\0\0\0\0", 8) +
      R"({"__metadata__":{"a":"\"b\""},"z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string file = safetensors_bytes(std::vector<TensorValues>{{{"z", {1}}, one}}, {{"a", "\"b\""}});
  ASSERT_EQ(file.size(), 128 + 4u) << "the values begin at a multiple of 64";
  EXPECT_EQ(file.substr(0, expected.size()), expected);
  EXPECT_EQ(file.find_first_not_of(' ', expected.size()), 128u) << "spaces up to the values";
  EXPECT_EQ(file.substr(128), std::string("\0\0\x80\x3f", 4)) << "1.0f";
}

TEST(SafetensorsWriter, WhatIsWrittenReadsBack) {
  const std::string file = safetensors_bytes(
      std::vector<TensorValues>{{{"w", {3, 2}}, six}, {{"b", {2}}, two}, {{"none", {0, 7}}, {}}},
      {{"format", "pt"}});
  const auto tensors = parse_safetensors(bytes_of(file), "test");
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_THAT(tensors[2].shape, ElementsAre(3, 2));
  std::vector<float> values(6);
  read_rows_f32(tensors[2], 0, 3, values);
  EXPECT_EQ(values, six);
  values.resize(2);
  read_rows_f32(tensors[0], 0, 2, values);
  EXPECT_EQ(values, two);
  EXPECT_THAT(safetensors_metadata(bytes_of(file), "test"), ElementsAre(testing::Pair("format", "pt")));
}

TEST(SafetensorsWriter, TheHeaderAloneIsTheBeginningOfTheFile) {
  const std::vector<TensorShape> shapes = {{"w", {3, 2}}, {"b", {2}}};
  const std::string file = safetensors_bytes(std::vector<TensorValues>{{shapes[0], six}, {shapes[1], two}});
  const std::string header = safetensors_header(shapes);
  EXPECT_TRUE(file.starts_with(header));
  EXPECT_EQ(file.size(), header.size() + 8 * sizeof(float));
  EXPECT_EQ(header.find("__metadata__"), std::string::npos);
}

TEST(SafetensorsWriter, WrongSizesAndNamesAreOurMistakes) {
  const auto kind_of = [](const std::vector<TensorValues>& tensors) {
    return test::error_of([&] { return safetensors_bytes(tensors); }).kind();
  };
  EXPECT_EQ(kind_of({{{"w", {3, 3}}, six}}), ErrorKind::internal);
  EXPECT_EQ(kind_of({{{"w", {6}}, six}, {{"w", {2}}, two}}), ErrorKind::internal);
}

}  // namespace
}  // namespace twistor::format
