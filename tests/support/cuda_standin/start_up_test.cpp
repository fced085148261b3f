// SPDX-License-Identifier: Apache-2.0
// LibTorch looks for its CUDA part once. Who asks it before that is loaded is told so, and not that there are
// no GPUs.
#include <ATen/Context.h>
#include <gmock/gmock.h>

#include "support/error_of.hpp"
#include "twistor/device/choose.hpp"

namespace twistor::device {
namespace {

TEST(StartUp, AskingForGpusBeforeTheirPartIsLoadedIsFound) {
  EXPECT_FALSE(at::hasCUDA());
  EXPECT_THAT(test::message_of([] { (void)make_engine(Place::cuda, KernelChoice::automatic, 0); }),
              testing::HasSubstr("before its CUDA part was loaded"));
}

}  // namespace
}  // namespace twistor::device
