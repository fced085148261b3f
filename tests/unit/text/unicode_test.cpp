// UTF-8 decoding and character classes.
#include "twistor/text/unicode.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "twistor/text/quote.hpp"

namespace twistor::text {
namespace {

std::string hex(char32_t value) {
  return fmt::format("U+{:04X}", static_cast<std::uint32_t>(value));
}

TEST(Utf8, RoundTripOfEveryCodePoint) {
  for (char32_t value = 0; value < 0x110000; ++value) {
    std::string text;
    append_utf8(text, value);
    const CodePoint point = next_code_point(text, 0);
    const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
    ASSERT_EQ(point.is_valid, !is_surrogate) << hex(value);
    if (!is_surrogate) {
      ASSERT_TRUE(point.value == value);
      ASSERT_EQ(point.size, text.size());
    }
  }
}

TEST(Utf8, InvalidBytesAreStepsOfTheirOwn) {
  for (const std::string text :
       {"\x80", "\xff", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x99", "\xc3\x28"}) {
    const CodePoint point = next_code_point(text, 0);
    EXPECT_FALSE(point.is_valid) << quote(text);
    EXPECT_EQ(point.size, 1u);
    EXPECT_TRUE(point.value == static_cast<unsigned char>(text[0]));
  }
}

CharClass class_of(char32_t value) {
  return char_class({value, 1, true});
}

TEST(CharClass, AsUnicodeHasThem) {
  for (const char32_t value : {U'a', U'Z', U'é', U'я', U'中', U'ʰ', U'ª', U'ǅ', U'\u02b0'})
    EXPECT_EQ(class_of(value), CharClass::letter) << hex(value);
  for (const char32_t value : {U'0', U'9', U'٣', U'½', U'²', U'Ⅷ', U'①', U'\u3007'})
    EXPECT_EQ(class_of(value), CharClass::number) << hex(value);
  for (const char32_t value : {U' ', U'\t', U'\n', U'\r', U'\v', U'\f', U'\u0085', U'\u00a0', U'\u1680',
                               U'\u2003', U'\u2028', U'\u2029', U'\u202f', U'\u205f', U'\u3000'})
    EXPECT_EQ(class_of(value), CharClass::space) << hex(value);
  for (const char32_t value :
       {U'.', U'_', U'\x1c', U'\x1f', U'\u200b', U'\u180e', U'\ufeff', U'\u0301', U'☃', U'\U0001f642', U'\0'})
    EXPECT_EQ(class_of(value), CharClass::other) << hex(value);
  EXPECT_EQ(char_class({0xe9, 1, false}), CharClass::other) << "an invalid byte is no letter";
}

TEST(WordChar, AsRegularExpressionsHaveThem) {
  for (const char32_t value : {U'a', U'_', U'7', U'\u0301', U'\u200d', U'Ⓐ', U'\u203f', U'中', U'Ⅷ'})
    EXPECT_TRUE(is_word_char({value, 1, true})) << hex(value);
  for (const char32_t value : {U'-', U' ', U'½', U'²', U'①', U'\'', U'☃'})
    EXPECT_FALSE(is_word_char({value, 1, true})) << hex(value);
}

TEST(Quote, IsPrintableAndShort) {
  EXPECT_EQ(quote("a é"), "'a é'");
  EXPECT_EQ(quote("a\nb\xff"), "'a\\x0ab\\xff'");
  EXPECT_EQ(quote(std::string(1000, 'x')), "'" + std::string(60, 'x') + "...'");
}

}  // namespace
}  // namespace twistor::text
