// SPDX-License-Identifier: Apache-2.0
// Tensors of GGUF files: block formats against an independent implementation, and what is refused.
#include <gmock/gmock.h>

#include <cstdlib>

#include "support/error_of.hpp"
#include "support/gguf_bytes.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/gguf_parts.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

namespace fs = std::filesystem;
using test::GgufBytes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

const fs::path golden = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden";

/// The codes of a block type, with their scales and offsets, mean the same numbers.
void expect_codes(const TensorInfo& tensor, const std::vector<float>& want) {
  const format::CodeLayout layout = format::code_layout(tensor.type);
  if (layout.group == 0) return;
  std::vector<std::int8_t> codes(want.size());
  std::vector<float> scales(want.size() / static_cast<std::size_t>(layout.group)), offsets(scales.size());
  format::read_rows_codes(tensor, 0, tensor.shape[0], codes, scales, offsets);
  for (std::size_t i = 0; i < want.size(); ++i) {
    const std::size_t g = i / static_cast<std::size_t>(layout.group);
    EXPECT_EQ(scales[g] * static_cast<float>(codes[i]) + offsets[g], want[i]) << tensor.name;
    if (layout.is_four_bits) {
      EXPECT_TRUE(codes[i] >= 0 && codes[i] < 16) << tensor.name;
    }
  }
}

// quantised.safetensors holds what the Python package gguf makes of the blocks in quantised.gguf.
TEST(GgufWeights, BlockFormatsEqualTheReference) {
  const auto stored = format::open_gguf_weights(golden / "quantised.gguf");
  const GgufFile container = GgufFile::open(golden / "quantised.gguf");
  EXPECT_EQ(container.string("general.architecture"), "llama");
  ASSERT_EQ(stored->tensors().size(), 11u);
  const std::string bytes = [] {
    const auto mapped = MappedFile(golden / "quantised.safetensors");
    return std::string(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  }();
  const auto expected = format::parse_safetensors(test::as_bytes(bytes), "expected");
  for (const TensorInfo& reference : expected) {
    const TensorInfo& tensor = stored->require(reference.name, reference.shape);
    std::vector<float> want(static_cast<std::size_t>(reference.numel()));
    std::vector<float> got(want.size());
    format::read_rows_f32(reference, 0, 5, want);
    format::read_rows_f32(tensor, 0, 5, got);
    EXPECT_EQ(got, want) << reference.name;
    const std::int64_t width = tensor.shape[1];
    std::vector<float> rows(static_cast<std::size_t>(2 * width));
    format::read_rows_f32(tensor, 2, 4, rows);
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), want.begin() + 2 * width)) << reference.name;
    expect_codes(tensor, want);
  }
}

TEST(GgufWeights, NonFiniteScalesAreRefused) {
  std::string block(34, '\1');
  block[0] = '\0', block[1] = '\x7c';  // the scale is +inf
  GgufBytes gguf;
  gguf.tensor("w", 8, {32, 1}, block);
  const std::string bytes = gguf.build();
  const auto tensors = format::gguf_tensors(GgufFile::parse(test::as_bytes(bytes), "test"));
  std::vector<float> out(32);
  EXPECT_THAT([&] { format::read_rows_f32(tensors[0], 0, 1, out); },
              ThrowsMessage<Error>(AllOf(HasSubstr("tensor 'w'"),
                                         HasSubstr("expected finite numbers, got inf in row 0, column 0"))));
  std::vector<std::int8_t> codes(32);
  std::vector<float> scales(1), offsets(1);
  EXPECT_THAT([&] { format::read_rows_codes(tensors[0], 0, 1, codes, scales, offsets); },
              ThrowsMessage<Error>(HasSubstr("expected finite scales")));
}

TEST(GgufWeights, MalformedFilesGetOneClearError) {
  const auto refuse = [](auto change, const std::string& message) {
    GgufBytes gguf;
    change(gguf);
    const std::string bytes = gguf.build();
    EXPECT_THAT([&] { (void)format::gguf_tensors(GgufFile::parse(test::as_bytes(bytes), "w.gguf")); },
                ThrowsMessage<Error>(AllOf(HasSubstr("w.gguf"), HasSubstr(message))));
  };
  refuse([](auto& g) { g.tensor("w", 10, {256}, ""); },
         "tensor 'w': elements of type Q2_K are not supported");
  refuse(
      [](auto& g) {
        g.tensor("w", 14, {128, 2}, std::string(210, 'x'));
      },
      "expected rows of a multiple of 256 elements for Q6_K, got 128");
  refuse(
      [](auto& g) {
        g.tensor("w", 13, {256, 2}, std::string(320, 'x'));
      },
      "expected 2 blocks of 176 bytes at offset 0, got 320 bytes");
  refuse([](auto& g) { g.tensor("w", 4, {256}, ""); }, "elements of type number 4 are not supported");
  refuse([](auto& g) { g.tensor("w", 999, {256}, ""); }, "elements of type number 999 are not supported");
  refuse(
      [](auto& g) {
        g.tensor("w", 8, {33, 2}, std::string(80, 'x'));
      },
      "expected rows of a multiple of 32 elements for Q8_0, got 33");
  refuse([](auto& g) { g.tensor("w", 0, {9}, std::string(32, 'x')); },
         "expected 9 blocks of 4 bytes at offset 0, got 32 bytes");
  refuse([](auto& g) { g.tensor("w", 0, {1ull << 62}, std::string(32, 'x')); },
         "got 32 bytes up to the end of the file");
  refuse([](auto& g) { g.tensor("v", 0, {16}, std::string(64, 'x')).tensor_entry("w", 0, {1}, 32); },
         "tensor 'w' overlaps tensor 'v'");
}

TEST(GgufWeights, SmolLM2) {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  const fs::path folder =
      cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache/twistor";
  const fs::path path = folder / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << "SmolLM2 is not in the cache (launch/get_model.sh smollm2)";
  const auto weights = format::open_gguf_weights(path);
  EXPECT_EQ(weights->tensors().size(), 272u);
  const std::vector<std::int64_t> shape{49152, 576};
  EXPECT_EQ(weights->require("token_embd.weight", shape).type, StoredType::q8_0);
  std::int64_t n_parameters = 0;
  std::vector<float> out;
  for (const TensorInfo& tensor : weights->tensors()) {
    n_parameters += tensor.numel();
    out.resize(static_cast<std::size_t>(tensor.numel()));
    format::read_rows_f32(tensor, 0, tensor.shape[0], out);
  }
  EXPECT_EQ(n_parameters, 134'515'008);
}

/// A model cut into three files, and the paths of its parts.
struct Parts {
  explicit Parts(std::int32_t n_wanted = 3) {
    for (int i = 0; i < 3; ++i) {
      GgufBytes gguf;
      if (i == 0) gguf.string("general.architecture", "llama");
      gguf.value<std::uint16_t>("split.no", 2, static_cast<std::uint16_t>(i))
          .value<std::uint16_t>("split.count", 2, 3);
      gguf.value<std::int32_t>("split.tensors.count", 5, n_wanted);
      const std::string name(1, static_cast<char>('c' - i)),
          value = std::string(3, '\0') + static_cast<char>(0x40 + i);
      paths.push_back(folder.write("m-0000" + std::to_string(i + 1) + "-of-00003.gguf",
                                   gguf.tensor(name, 0, {1}, value).build()));
    }
  }
  test::TemporaryFolder folder;
  std::vector<fs::path> paths;
};

TEST(GgufParts, AllAreReadFromAny) {
  const Parts parts;
  for (const fs::path& path : parts.paths) {
    const auto weights = open_gguf_weights(path);
    ASSERT_EQ(weights->tensors().size(), 3u) << path;
    std::vector<float> value(1);
    const std::array<std::int64_t, 1> one{1};
    for (const auto& [name, expected] : {std::pair{"a", 32.0f}, std::pair{"b", 8.0f}, std::pair{"c", 2.0f}}) {
      read_rows_f32(weights->require(name, one), 0, 1, value);
      EXPECT_EQ(value[0], expected) << name;
    }
    EXPECT_EQ(open_gguf_header(path).string("general.architecture"), "llama");
  }
}

TEST(GgufParts, MissingAndForeignOnesAreNamed) {
  const Parts parts;
  fs::remove(parts.paths[1]);
  const Error missing = test::error_of([&] { return open_gguf_weights(parts.paths[0]); });
  EXPECT_EQ(missing.kind(), ErrorKind::no_input);
  EXPECT_THAT(missing.text(), HasSubstr("m-00002-of-00003.gguf"));
  const fs::path renamed = parts.folder.path() / "model.gguf";
  fs::rename(parts.paths[2], renamed);
  EXPECT_THAT(test::message_of([&] { return open_gguf_weights(renamed); }),
              HasSubstr("does not end in -00003-of-00003.gguf"));
  const Parts lacking(4);
  EXPECT_THAT(test::message_of([&] { return open_gguf_weights(lacking.paths[0]); }),
              HasSubstr("expected 4 tensors in all parts, got 3"));
  const Parts doubled;
  fs::copy_file(doubled.paths[0], doubled.folder.path() / "x");
  GgufBytes twin;
  twin.value<std::uint16_t>("split.no", 2, 2).value<std::uint16_t>("split.count", 2, 3);
  (void)doubled.folder.write(doubled.paths[2].filename().string(), twin.tensor("c", 0, {1}, "abcd").build());
  EXPECT_THAT(test::message_of([&] { return open_gguf_weights(doubled.paths[0]); }),
              HasSubstr("tensor 'c' is in two parts"));
}

}  // namespace
}  // namespace twistor::format
