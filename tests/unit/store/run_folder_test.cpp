// SPDX-License-Identifier: Apache-2.0
// The folder of a run is made, tried and kept from others.
#include "twistor/store/run_folder.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"

namespace twistor::store {
namespace {

TEST(RunFolder, IsMadeWithItsParentsAndLeftClean) {
  const test::TemporaryFolder temporary;
  const std::filesystem::path folder = temporary.path() / "runs" / "first";
  make_run_folder(folder);
  make_run_folder(folder);
  ASSERT_TRUE(std::filesystem::is_directory(folder));
  {
    const FolderLock lock = claim_run_folder(folder);
    EXPECT_TRUE(lock.is_held());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(RunFolder, IsRefusedWhereAFileIsInTheWay) {
  const test::TemporaryFolder temporary;
  std::ofstream(temporary.path() / "file") << "x";
  try {
    make_run_folder(temporary.path() / "file" / "run");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find("making the folder"), std::string::npos);
    EXPECT_NE(error.hint().find("run.output"), std::string::npos);
  }
}

}  // namespace
}  // namespace twistor::store
