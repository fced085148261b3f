// Names of enums: both directions, and what is said about a wrong one.
#include "twistor/base/names.hpp"

#include <gmock/gmock.h>

#include <array>

namespace twistor {
namespace {

enum class Colour { red, green, hidden };
constexpr auto name_table(Colour) {
  return std::array{Named{Colour::red, "red"}, Named{Colour::green, "green"}};
}

TEST(Names, GoBothWays) {
  EXPECT_THAT(names<Colour>(), testing::ElementsAre("red", "green"));
  EXPECT_EQ(name_of(Colour::green), "green");
  EXPECT_EQ(name_of(Colour::hidden), "");
  EXPECT_EQ(find_name<Colour>("red"), Colour::red);
  EXPECT_EQ(find_name<Colour>("Red"), std::nullopt);
  EXPECT_EQ(from_name<Colour>("green", "reading a colour"), Colour::green);
}

TEST(Names, AWrongOneGetsTheList) {
  try {
    (void)from_name<Colour>("blue", "reading a colour");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(),
                testing::HasSubstr("reading a colour: expected one of: red, green, got 'blue'"));
  }
}

}  // namespace
}  // namespace twistor
