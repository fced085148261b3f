// The names that the table of keys allows and the names of which the rooms can make things are the same.
#include <gmock/gmock.h>

#include "twistor/app/config_fields.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/target/registry.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::app {
namespace {

TEST(Choices, AreWhatTheRoomsKnow) {
  const auto choices = [](std::string_view key) { return find_field(key)->choices; };
  const std::vector<std::string> potentials = target::potential_names();
  EXPECT_THAT(choices("target.potential"), testing::UnorderedElementsAreArray(potentials));
  for (const auto name : choices("smc.resampling")) EXPECT_NO_THROW((void)smc::scheme_from_name(name));
  for (const auto name : choices("smc.trigger")) EXPECT_NO_THROW((void)smc::trigger_from_name(name));
  for (const auto name : choices("smc.order")) EXPECT_NO_THROW((void)smc::order_from_name(name));
  for (const auto name : choices("smc.proposal")) EXPECT_NO_THROW((void)smc::proposal_from_name(name));
  for (const auto name : choices("model.dtype")) {
    EXPECT_NO_THROW((void)model::precision_from_name(std::string(name)));
  }
  for (const auto name : choices("twist.form")) {
    EXPECT_NO_THROW((void)twist::HeadTwist(std::string(name), 32, 32, model::Precision::float32, 1, 1));
  }
}

}  // namespace
}  // namespace twistor::app
