// SPDX-License-Identifier: Apache-2.0
// What writer and reader of the HDF5 image agree on.
#include "image.hpp"

#include <fmt/format.h>

#include <bit>

#include "twistor/base/error.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::store {
namespace {

std::string text_of(const Attribute& attribute) {
  if (const auto* text = std::get_if<std::string>(&attribute))
    return fmt::format("s{}:{}", text->size(), *text);
  if (const auto* integer = std::get_if<std::int64_t>(&attribute)) return fmt::format("i{}", *integer);
  return fmt::format("d{:016x}", std::bit_cast<std::uint64_t>(std::get<double>(attribute)));
}

}  // namespace

std::string_view name_of(ElementType type) noexcept {
  switch (type) {
    case ElementType::f32:
      return "f32";
    case ElementType::f64:
      return "f64";
    case ElementType::i64:
      return "i64";
    case ElementType::u8:
      return "u8";
    case ElementType::text:
      break;
  }
  return "text";
}

std::size_t size_of(ElementType type) noexcept {
  switch (type) {
    case ElementType::f32:
      return 4;
    case ElementType::f64:
    case ElementType::i64:
      return 8;
    case ElementType::u8:
    case ElementType::text:
      break;
  }
  return 1;
}

std::uint32_t directory_crc(const std::vector<DirectoryEntry>& entries,
                            const std::map<std::string, Attribute>& attributes) {
  std::string text;
  for (const DirectoryEntry& e : entries) {
    text += fmt::format("dataset {}:{} {} {:08x}", e.name.size(), e.name, name_of(e.type), e.crc);
    for (const std::int64_t n : e.shape) text += fmt::format(" {}", n);
    text += '\n';
  }
  for (const auto& [name, value] : attributes) {
    if (name != directory_attribute)
      text += fmt::format("attribute {}:{} {}\n", name.size(), name, text_of(value));
  }
  return crc32c(std::as_bytes(std::span(text)));
}

}  // namespace twistor::store
