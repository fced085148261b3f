// The main of every unit-test executable: fixes the arithmetic mode before the first product, then runs
// GoogleTest.
#include <gmock/gmock.h>

#include <cstdlib>

int main(int argc, char** argv) {
  setenv("MKL_CBWR", "AVX2,STRICT", 0);  // the environment wins; see launch/rank_env.sh
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
