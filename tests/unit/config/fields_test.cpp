// SPDX-License-Identifier: Apache-2.0
// Keys from one visit: reading, writing, comparing, and what is said about wrong ones.
#include "twistor/config/fields.hpp"

#include <gmock/gmock.h>

#include <array>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/config/ini.hpp"

namespace twistor::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

enum class Colour { red, green };
constexpr auto names_of(Colour) {
  return std::array{Named{Colour::red, "red"}, Named{Colour::green, "green"}};
}

struct Paint {
  Colour colour = Colour::red;
  std::string maker = "a";
  double litres = 1;
  std::int64_t coats = 2;
  bool is_glossy = false;
  void visit_keys(const Visitor& visit) {
    visit({.name = "colour", .meaning = "which"}, Choice(colour));
    visit({.name = "maker", .meaning = "whose", .choices = {"a", "b"}}, &maker);
    visit({.name = "litres",
           .meaning = "how much",
           .range = {0, std::numeric_limits<double>::infinity(), false, false}},
          &litres);
    visit({.name = "coats", .meaning = "how often", .range = {1, 9}}, &coats);
    visit({.name = "is_glossy", .meaning = "whether it shines"}, &is_glossy);
  }
};

struct Room {
  Paint wall, door;
};

Fields fields_of(Room& room) {
  Fields fields;
  fields.add("wall", room.wall);
  fields.add("door", room.door);
  return fields;
}

std::string message_of(std::string_view text) {
  Room room;
  try {
    read_text(text, "room.cfg", fields_of(room));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    return error.text();
  }
  return "nothing was refused";
}

TEST(Fields, OneVisitReadsWritesAndCompares) {
  Room room, fresh;
  const Fields fields = fields_of(room);
  EXPECT_THAT(fields.sections(), ElementsAre("wall", "door"));
  EXPECT_EQ(fields.size(), 10u);
  EXPECT_TRUE(are_equal(fields, fields_of(fresh)));
  read_text("[door]\ncolour = green # like the garden\nlitres = 0.5\nwall.coats=9\n", "room.cfg", fields);
  EXPECT_EQ(room.door.colour, Colour::green);
  EXPECT_EQ(room.wall.colour, Colour::red);
  EXPECT_EQ(room.door.litres, 0.5);
  EXPECT_EQ(room.wall.coats, 9);
  EXPECT_FALSE(are_equal(fields, fields_of(fresh)));
  const Override given[] = {{"wall.maker", "b"}, {"wall.maker", "a"}, {"door.is_glossy", "true"}};
  apply(given, fields);
  EXPECT_EQ(room.wall.maker, "a");
  EXPECT_TRUE(room.door.is_glossy);

  Room again;
  read_text(to_text(fields), "text", fields_of(again));
  EXPECT_TRUE(are_equal(fields, fields_of(again)));
  EXPECT_THAT(to_text(fields), HasSubstr("\n[door]\ncolour = green\nmaker = a\nlitres = 0.5\n"));
}

TEST(Fields, AWrongValueChangesNothing) {
  Room room;
  const Fields fields = fields_of(room);
  EXPECT_EQ(assign(*fields.find("wall.colour"), "blue", ValueSyntax::file), "'blue'");
  EXPECT_EQ(assign(*fields.find("wall.coats"), "10", ValueSyntax::file), "10");
  EXPECT_EQ(assign(*fields.find("wall.litres"), "0", ValueSyntax::file), "0");
  Room fresh;
  EXPECT_TRUE(are_equal(fields, fields_of(fresh)));
}

TEST(Fields, RefusalsSayWhatIsExpected) {
  EXPECT_THAT(message_of("wall.colour = blue"),
              HasSubstr("room.cfg, line 1: wall.colour: expected one of: red, green, got 'blue'"));
  EXPECT_THAT(message_of("wall.maker = c"), HasSubstr("expected one of: a, b, got 'c'"));
  EXPECT_THAT(message_of("wall.coats = 0"),
              HasSubstr("expected an integer, at least 1 and at most 9, got 0"));
  EXPECT_THAT(message_of("wall.litres = 0"), HasSubstr("expected a finite number, above 0, got 0"));
  EXPECT_THAT(message_of("wall.color = red"), HasSubstr("did you mean wall.colour?"));
  EXPECT_THAT(message_of("[dor]"), HasSubstr("sections: wall, door"));
}

}  // namespace
}  // namespace twistor::config
