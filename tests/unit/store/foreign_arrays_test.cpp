// SPDX-License-Identifier: Apache-2.0
// Arrays out of files that other programs wrote: right ones, and what is refused.
#include "twistor/store/foreign_arrays.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"

namespace twistor::store {
namespace {

using testing::HasSubstr;
using Names = std::vector<std::string>;

const std::filesystem::path folder = std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/bilstm";

std::string bytes_of(const std::string& name) {
  std::ifstream file(folder / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Error error_of(const std::string& bytes, const Names& names) {
  SCOPED_TRACE(testing::PrintToString(names));
  return test::error_of(
      [&] { return read_foreign_arrays(std::as_bytes(std::span(bytes)), "weights.h5", names); });
}

TEST(ForeignArrays, ComeInTheOrderOfTheirNames) {
  const Names names = {"layers/dense_1/vars/1", "layers/embedding/vars/0"};
  const auto arrays = read_foreign_arrays(folder / "model.weights.h5", names);
  ASSERT_EQ(arrays.size(), 2u);
  EXPECT_THAT(arrays[0].shape, testing::ElementsAre(6));
  EXPECT_THAT(arrays[1].shape, testing::ElementsAre(13, 6));
  EXPECT_EQ(arrays[1].values.size(), 78u);
  EXPECT_NE(arrays[1].values[0], arrays[1].values[77]);
  EXPECT_EQ(read_foreign_arrays(folder / "odd.h5", Names{"whole", "whole"}).size(), 2u);
}

TEST(ForeignArrays, NameAllThatIsMissing) {
  const Error error = error_of(bytes_of("model.weights.h5"),
                               {"layers/dense/vars/0", "layers/dense/vars/7", "no/such/thing", "layers//x"});
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.text(), HasSubstr("weights.h5"));
  EXPECT_THAT(error.text(), HasSubstr("no dataset layers/dense/vars/7, no/such/thing, layers//x"));
}

TEST(ForeignArrays, RefuseWhatIsNotPlainFloat32) {
  const std::string odd = bytes_of("odd.h5");
  EXPECT_THAT(error_of(odd, {"chunked"}).text(), HasSubstr("dataset chunked is not stored in one piece"));
  EXPECT_THAT(error_of(odd, {"double"}).text(), HasSubstr("dataset double is not of type float32"));
  EXPECT_THAT(error_of(odd, {"nan"}).text(), HasSubstr("dataset nan has values that are no finite numbers"));
  EXPECT_THAT(error_of(odd, {"group"}).text(), HasSubstr("group is no dataset"));
  for (const char* link : {"soft", "circle", "elsewhere"})
    EXPECT_THAT(error_of(odd, {link}).text(), HasSubstr(std::string("no dataset ") + link))
        << "links may lead anywhere";
}

TEST(ForeignArrays, RefuseWhatIsNoFileOfHdf5) {
  EXPECT_EQ(error_of("hello", {"a"}).kind(), ErrorKind::data);
  EXPECT_EQ(error_of(bytes_of("model.weights.h5").substr(0, 3000), {"layers/embedding/vars/0"}).kind(),
            ErrorKind::data);
  EXPECT_THROW((void)read_foreign_arrays(folder / "none.h5", Names{"a"}), Error);
}

}  // namespace
}  // namespace twistor::store
