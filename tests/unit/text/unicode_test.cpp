// SPDX-License-Identifier: Apache-2.0
// UTF-8 decoding and character classes.
#include "twistor/text/unicode.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "twistor/base/digest.hpp"
#include "twistor/format/quote.hpp"

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
    EXPECT_FALSE(point.is_valid) << format::quote(text);
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

// SHA-256 of one character for each code point, as tests/golden/print_unicode_digests.py has them from the
// reference.
template <class Sign>
std::string digest(Sign sign) {
  std::string signs;
  for (char32_t value = 0; value < 0x110000; ++value)
    if (value < 0xd800 || value > 0xdfff) signs += sign(CodePoint{value, 1, true});
  return sha256_hex(signs);
}

TEST(UnicodeClasses, EqualTheReferencesForEveryCodePoint) {
  EXPECT_EQ(digest([](CodePoint point) { return "LNS."[static_cast<int>(char_class(point))]; }),
            "d1612ea896789ce8d19e5c4fe3718b9a490c721227836b183b2d5a4cfdcb5870");
  EXPECT_EQ(digest([](CodePoint point) { return is_word_char(point) ? '1' : '0'; }),
            "a311b60aead90cd4917547ac3ce4b283b24c043a127b2df67e31fdac4107ed28");
  EXPECT_EQ(digest([](CodePoint point) { return is_mark(point) ? '1' : '0'; }),
            "10742687cdf2be8d63c9148d3c2a00fdf7f68c56995c82edcd952037f8fca597");
  EXPECT_EQ(digest([](CodePoint point) { return is_digit_or_number(point) ? '1' : '0'; }),
            "aafa54736b98a8916ae45c3f882529fe87708d05a15ac013c2e601e7b1f5ab17");
  EXPECT_EQ(digest([](CodePoint point) { return is_punctuation(point) ? '1' : '0'; }),
            "e73812ee9af3262be1cba6c9a0eb63bad625462dd3f2bc332b74c31cc7a09b5a");
}

TEST(Quote, IsPrintableAndShort) {
  EXPECT_EQ(format::quote("a é"), "'a é'");
  EXPECT_EQ(format::quote("a\nb\xff"), "'a\\x0ab\\xff'");
  EXPECT_EQ(format::quote(std::string(1000, 'x')), "'" + std::string(60, 'x') + "...'");
}

}  // namespace
}  // namespace twistor::text
