// SPDX-License-Identifier: Apache-2.0
// safetensors: what is read, and what is refused with which message.
#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string out(reinterpret_cast<const char*>(&size), sizeof size);
  return out + header + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::vector<TensorInfo> parse(const std::string& bytes) {
  return format::parse_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "test.safetensors");
}

std::vector<float> read_all(const TensorInfo& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.numel()));
  format::read_rows_f32(tensor, 0, tensor.shape.empty() ? 1 : tensor.shape[0], out);
  return out;
}

TEST(Safetensors, ReadsTensorsSortedByName) {
  const std::string file = file_of(
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]},)"
      R"("mask":{"dtype":"BOOL","shape":[1,1],"data_offsets":[28,29]},"none":{"dtype":"F32","shape":[0,7],"data_offsets":[29,29]},)"
      R"("one":{"dtype":"F16","shape":[],"data_offsets":[29,31]}}   )",
      bytes_of<float>({1, 2, 3, 4, 5, 6}) + bytes_of<std::uint16_t>({0x3f80, 0xc000}) + "\1" +
          bytes_of<std::uint16_t>({0x3e00}));
  const auto tensors = parse(file);
  ASSERT_EQ(tensors.size(), 5u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_THAT(read_all(tensors[0]), ElementsAre(1.0f, -2.0f));
  EXPECT_EQ(tensors[1].type, StoredType::other);
  EXPECT_THAT([&] { (void)read_all(tensors[1]); },
              ThrowsMessage<Error>(HasSubstr("tensor 'mask': expected floating-point numbers")));
  EXPECT_EQ(tensors[2].numel(), 0);
  EXPECT_TRUE(read_all(tensors[2]).empty());
  EXPECT_THAT(read_all(tensors[3]), ElementsAre(1.5f));
  EXPECT_EQ(tensors[4].name, "w");
  EXPECT_THAT(read_all(tensors[4]), ElementsAre(1, 2, 3, 4, 5, 6));
  std::vector<float> row(2);
  format::read_rows_f32(tensors[4], 1, 2, row);
  EXPECT_THAT(row, ElementsAre(3, 4));
}

TEST(Safetensors, NonFiniteNumbersAreRefused) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const float bad : {inf, -inf, std::nanf("")}) {
    const std::string file = file_of(R"({"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})",
                                     bytes_of<float>({1, 2, 3, bad}));
    const auto tensors = parse(file);
    EXPECT_THAT([&] { (void)read_all(tensors[0]); },
                ThrowsMessage<Error>(AllOf(HasSubstr("tensor 'w'"), HasSubstr("row 1, column 1"))));
    std::vector<float> row(2);
    EXPECT_NO_THROW(format::read_rows_f32(tensors[0], 0, 1, row));
  }
}

TEST(Safetensors, EveryHalfIsExact) {
  std::vector<std::uint16_t> halves;
  for (std::uint32_t bits = 0; bits < 65536; ++bits)
    if ((bits & 0x7c00u) != 0x7c00u) halves.push_back(static_cast<std::uint16_t>(bits));
  const std::string n = std::to_string(halves.size());
  const std::string file = file_of(R"({"h":{"dtype":"F16","shape":[)" + n + R"(],"data_offsets":[0,)" +
                                       std::to_string(2 * halves.size()) + "]}}",
                                   bytes_of(halves));
  const auto tensors = parse(file);
  const auto values = read_all(tensors[0]);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const int exponent = (halves[i] >> 10) & 31;
    const int mantissa = halves[i] & 1023;
    const double size =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    const auto expected = static_cast<float>((halves[i] & 0x8000) != 0 ? -size : size);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected)) << halves[i];
  }
  for (const std::uint16_t bad : std::vector<std::uint16_t>{0x7c00, 0xfc00, 0x7e00, 0x7c01}) {
    const std::string one =
        file_of(R"({"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", bytes_of<std::uint16_t>({bad}));
    const auto bad_tensors = parse(one);
    EXPECT_THAT([&] { (void)read_all(bad_tensors[0]); },
                ThrowsMessage<Error>(HasSubstr("expected finite numbers")));
  }
}

TEST(Safetensors, OpensFolders) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { (void)format::open_safetensors(folder.path()); },
              ThrowsMessage<Error>(HasSubstr("expected model.safetensors or")));
  folder.write("model.safetensors", file_of(R"({"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})",
                                            bytes_of<float>({1, 2})));
  const auto weights = format::open_safetensors(folder.path());
  EXPECT_EQ(weights->find("v"), nullptr);
  ASSERT_NE(weights->find("w"), nullptr);
  const std::vector<std::int64_t> right{1, 2};
  const std::vector<std::int64_t> wrong{2, 1};
  EXPECT_THAT(read_all(weights->require("w", right)), ElementsAre(1, 2));
  EXPECT_THAT([&] { (void)weights->require("w", wrong); },
              ThrowsMessage<Error>(HasSubstr("tensor 'w': expected shape [2, 1], got [1, 2]")));
  EXPECT_THAT([&] { (void)weights->require("v", right); },
              ThrowsMessage<Error>(HasSubstr("expected a tensor 'v' of shape [1, 2], got none")));
}

TEST(Safetensors, OpensShards) {
  const TemporaryFolder folder;
  folder.write("s1.safetensors",
               file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", bytes_of<float>({1})));
  folder.write("s2.safetensors",
               file_of(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", bytes_of<float>({2})));
  const auto index = [&](const std::string& map) {
    folder.write("model.safetensors.index.json", R"({"metadata":{"total_size":8},"weight_map":)" + map + "}");
    return format::open_safetensors(folder.path());
  };
  const auto weights = index(R"({"b":"s2.safetensors","a":"s1.safetensors"})");
  EXPECT_EQ(weights->tensors().size(), 2u);
  EXPECT_THAT(read_all(*weights->find("b")), ElementsAre(2));
  EXPECT_THAT([&] { (void)index(R"({"c":"s1.safetensors"})"); },
              ThrowsMessage<Error>(HasSubstr("weight_map.c: the tensor is not in 's1.safetensors'")));
  EXPECT_THAT([&] { (void)index(R"({"a":"s3.safetensors"})"); },
              ThrowsMessage<Error>(HasSubstr("s3.safetensors")));
  for (const char* name : {"../s1.safetensors", "/etc/passwd", "..", "", "a\\u0000b"})
    EXPECT_THAT([&] { (void)index(std::string(R"({"a":")") + name + "\"}"); },
                ThrowsMessage<Error>(HasSubstr("expected the name of a file in the same folder")))
        << name;
  EXPECT_THAT([&] { (void)index("3"); },
              ThrowsMessage<Error>(HasSubstr("weight_map: expected an object, got 3")));
}

TEST(Safetensors, MalformedFilesGetOneClearError) {
  const std::string four(4, '\0');
  const auto one = [&](const std::string& tensor, const std::string& data = std::string(4, '\0')) {
    return file_of(R"({"w":)" + tensor + "}", data);
  };
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "expected at least 8 bytes, got 0"},
      {"1234567", "expected at least 8 bytes, got 7"},
      {std::string(8, '\xff'), "expected a header of at most 0 bytes, got a length of 18446744073709551615"},
      {file_of("{}", "").substr(0, 9), "expected a header of at most 1 bytes, got a length of 2"},
      {file_of("", ""), "no valid JSON"},
      {file_of("{", ""), "no valid JSON"},
      {file_of(std::string(10'000, '['), ""), "nested more than 64 deep"},
      {file_of("[]", ""), "expected an object, got array"},
      {file_of("{}", "x"), "expected 0 bytes of tensors, got 1"},
      {one("[]"), "w: expected an object, got array"},
      {one("{}"), "w: expected a member 'dtype', got none"},
      {one(R"({"dtype":4})"), "w.dtype: expected a string, got 4"},
      {one(R"({"dtype":"F4"})"), "w.dtype: the element type 'F4' is not known"},
      {one(R"({"dtype":"F32"})"), "expected a member 'shape'"},
      {one(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"), "w.shape: expected an array, got 1"},
      {one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
       "w.shape[0]: expected an integer in [0, "},
      {one(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"),
       "w.shape[0]: expected an integer, got 1.0"},
      {one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})"),
       "tensor 'w': the number of elements of shape [4294967296, 4294967296] overflows"},
      {one(R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})"),
       "tensor 'w': expected 4611686018427387905 elements of 4 bytes"},
      {one(R"({"dtype":"F32","shape":[1]})"), "expected a member 'data_offsets'"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})"),
       "w.data_offsets: expected two offsets, got 1"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})"),
       "w.data_offsets[1]: expected an integer in [0, 4], got 8"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"),
       "w.data_offsets[0]: expected an integer in [0, 0], got 4"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]})"),
       "w.data_offsets[1]: expected an integer in [0, 4]"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,3]})", std::string(3, '\0')),
       "tensor 'w': expected 1 elements of 4 bytes for shape [1], got 3 bytes"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), "tensor 'w': expected 2 elements"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", std::string(8, '\0')),
       "expected it to begin at offset 0, got 4 (there is a gap before it)"},
      {file_of(
           R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
           four),
       "(it overlaps another tensor)"},
  };
  for (const auto& [file, message] : bad)
    EXPECT_THAT([&] { (void)parse(file); },
                ThrowsMessage<Error>(AllOf(HasSubstr("test.safetensors"), HasSubstr(message))))
        << message;
}

}  // namespace
}  // namespace twistor::format
