// SPDX-License-Identifier: Apache-2.0
// The names that keys allow are those of which the rooms can make things.
#include <gmock/gmock.h>

#include "twistor/learn/registry.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/run/config.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::run {
namespace {

TEST(Choices, AreWhatTheRoomsKnow) {
  Config config;
  const config::Fields fields = fields_of(config);
  const auto choices = [&](std::string_view key) { return config::choices(*fields.find(key)); };
  EXPECT_EQ(choices("target.potential"), potential::potential_names());
  EXPECT_THAT(choices("train.objective"), testing::ElementsAreArray(learn::objective_names()));
  EXPECT_THAT(choices("twist.form"), testing::ElementsAreArray(twist::twist_forms()));
}

TEST(Choices, OptionsOfTheTargetComeWithTheFilesThatTheyNameFound) {
  const config::Override settings[] = {
      {"model.path", "models/tiny"},  {"prompt.ids", "1"},
      {"target.potential", "tokens"}, {"target.length", "7"},
      {"target.beta", "2.5"},         {"target.ids", "3,4"},
      {"target.scope", "generation"}, {"target.table", "models/tiny/grammar.txt"}};
  const std::string config_file = std::string(TWISTOR_SOURCE_DIR) + "/configs/x.cfg";
  const auto options = potential::with_inputs_found(parse_config("", "test", settings).target, config_file);
  EXPECT_EQ(options.potential, "tokens");
  EXPECT_EQ(options.length, 7);
  EXPECT_EQ(options.beta, 2.5);
  EXPECT_THAT(options.ids, testing::ElementsAre(3, 4));
  EXPECT_EQ(options.scope, "generation");
  EXPECT_TRUE(std::filesystem::exists(options.table)) << options.table;
}

}  // namespace
}  // namespace twistor::run
