// SPDX-License-Identifier: Apache-2.0
// Names of enums: from and to text, choices, and what is said about a name that is none.
#include "twistor/base/names.hpp"

#include <gmock/gmock.h>

#include "support/error_of.hpp"

namespace twistor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

enum class Fruit { apple, pear, quince };
constexpr auto names_of(Fruit) {
  return std::array{Named{Fruit::pear, "pear"}, Named{Fruit::apple, "apple"}, Named{Fruit::quince, "quince"}};
}

enum class Pome { apple, medlar };
constexpr auto names_of(Pome) {
  return std::array{Named{Pome::medlar, "medlar"}, Named{Pome::apple, "apple"}};
}

static_assert(name_of(Fruit::quince) == "quince");
static_assert(find_name<Fruit>("apple") == Fruit::apple);
static_assert(NamedEnum<Fruit> && !NamedEnum<ErrorKind> && !NamedEnum<int>);

TEST(Names, LeadBackToTheirValues) {
  for (const std::string_view name : choices_of<Fruit>())
    EXPECT_EQ(name_of(from_name<Fruit>(name, "the fruit")), name);
  EXPECT_EQ(find_name<Fruit>("Apple"), std::nullopt);
  EXPECT_EQ(find_name<Fruit>(""), std::nullopt);
}

TEST(Names, AreChoicesInTheOrderOfTheTable) {
  EXPECT_THAT(choices_of<Fruit>(), ElementsAre("pear", "apple", "quince"));
}

TEST(Names, OfSeveralEnumsAreChoicesOnce) {
  EXPECT_THAT((choices_of<Fruit, Pome>()), ElementsAre("pear", "apple", "quince", "medlar"));
}

TEST(Names, AnUnknownOneIsRefusedWithTheChoices) {
  const Error error =
      test::error_of([] { return from_name<Fruit>("plum", "basket.fruit", "filling the basket"); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.text(),
              HasSubstr("filling the basket: basket.fruit is 'plum' (expected pear, apple or quince)"));
  EXPECT_THAT(test::message_of([] { return from_name<Pome>(std::string(1000, 'x'), "pome"); }),
              HasSubstr("reading the configuration: pome is '" + std::string(60, 'x') +
                        "' (expected medlar or apple)"));
}

TEST(Names, AValueWithoutOneIsOurMistake) {
  EXPECT_EQ(test::error_of([] { return name_of(static_cast<Fruit>(7)); }).kind(), ErrorKind::internal);
}

}  // namespace
}  // namespace twistor
