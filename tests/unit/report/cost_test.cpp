// What is said about a run's cost.
#include "twistor/report/cost.hpp"

#include <gmock/gmock.h>

namespace twistor::report {
namespace {

using testing::HasSubstr;

TEST(Cost, IsSaidInTokensAndTime) {
  const std::string text = cost_text({{"a", 2, 12000, false}, {"b", 0, 500, true}}, 100, 0.5);
  EXPECT_THAT(text, HasSubstr("estimated work: a 12,000 tokens, about 2 min 1 s; b 500 tokens, at most 5 s"));
  EXPECT_THAT(text, HasSubstr("100 tokens/s"));
  EXPECT_THAT(text, HasSubstr("phi 5e+02 ms"));
  EXPECT_THAT(cost_text({{"a", 2, 12000, false}}, 100, std::nullopt),
              HasSubstr("about 2 min (calibrated: 100 tokens/s, gradients and phi come on top)"));
}

}  // namespace
}  // namespace twistor::report
