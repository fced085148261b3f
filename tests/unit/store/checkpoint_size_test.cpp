// What is said of checkpoints before they are written.
#include "twistor/store/checkpoint.hpp"

#include <gmock/gmock.h>

namespace twistor::store {
namespace {

using testing::HasSubstr;

TEST(CheckpointSize, IsSaidAboveAHundredMegabytes) {
  Checkpoint checkpoint;
  checkpoint.parameters["w"].values.resize(25'000'000);  // 100 MB
  EXPECT_EQ(size_notice(checkpoint), "");
  checkpoint.adam_m["w"].values.resize(2'500'000);
  EXPECT_THAT(size_notice(checkpoint), HasSubstr("takes 110 MB on disk"));
}

}  // namespace
}  // namespace twistor::store
