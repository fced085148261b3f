// The names that the table of keys allows and the names of which the rooms can make things are the same.
#include <gmock/gmock.h>

#include "twistor/app/config_fields.hpp"
#include "twistor/app/target_options.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::app {
namespace {

TEST(Choices, AreWhatTheRoomsKnow) {
  const auto choices = [](std::string_view key) { return find_field(key)->choices; };
  EXPECT_EQ(choices("target.potential"), potential::potential_names());
  EXPECT_EQ(choices("smc.resampling"), choices_of<smc::SchemeKind>());
  EXPECT_THAT(choices("target.mode"), testing::ElementsAre("bag", "last", "mean"));
  for (const auto name : choices("twist.form")) {
    EXPECT_NO_THROW((void)twist::HeadTwist(std::string(name), 32, 32, device::Precision::float32, 1, 1));
  }
}

TEST(Choices, EveryKeyOfTheTargetIsAnOptionAndTheOtherWayRound) {
  std::vector<std::string> keys, options;
  for (const Field& field : fields())
    if (field.key.starts_with("target.")) keys.emplace_back(field.key.substr(7));
  for (const potential::OptionField& option : potential::option_fields()) options.emplace_back(option.key);
  // Of the run: how an o is drawn, and what ends a text.
  options.insert(options.end(), {"observation_length", "stop_at_eos", "end_token"});
  keys.emplace_back("scores");  // for programs, which have no file to name
  EXPECT_THAT(keys, testing::UnorderedElementsAreArray(options));
}

TEST(Choices, OptionsOfTheTargetAreCopiedFromTheConfiguration) {
  const Override settings[] = {{"model.path", "models/tiny"},  {"prompt.ids", "1"},
                               {"target.potential", "tokens"}, {"target.length", "7"},
                               {"target.beta", "2.5"},         {"target.ids", "3,4"},
                               {"target.scope", "generation"}, {"target.table", "models/tiny/grammar.txt"}};
  const std::string config_file = std::string(TWISTOR_SOURCE_DIR) + "/configs/x.cfg";
  const auto options = target_options(parse_config("", "test", settings), config_file);
  EXPECT_EQ(options.potential, "tokens");
  EXPECT_EQ(options.length, 7);
  EXPECT_EQ(options.beta, 2.5);
  EXPECT_THAT(options.ids, testing::ElementsAre(3, 4));
  EXPECT_EQ(options.scope, "generation");
  EXPECT_TRUE(std::filesystem::exists(options.table)) << options.table;
}

}  // namespace
}  // namespace twistor::app
