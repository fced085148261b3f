// SPDX-License-Identifier: Apache-2.0
// Header, map and their verification. docs/file-formats.md describes the layout byte by byte.
#include "twistor/store/container.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "twistor/base/error.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::store {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and are written without swapping");

// Not a text character first and a line end inside, so that transfers in text mode are noticed.
constexpr std::array<unsigned char, 8> magic = {0x8A, 'T', 'W', 'I', 'S', 'T', '\r', '\n'};

struct HeaderFields {
  std::array<unsigned char, 8> magic;
  std::uint32_t version;
  std::uint32_t map_crc;
  std::uint64_t map_offset;
  std::uint64_t map_bytes;
};
static_assert(sizeof(HeaderFields) == 32);
constexpr std::size_t crc_at = header_bytes - sizeof(std::uint32_t);

constexpr const char* damage_hint =
    "the file was damaged after it was written; use another copy or an older generation";

[[noreturn]] void refuse(const std::string& doing, const std::string& problem,
                         const std::string& hint = damage_hint) {
  throw Error(ErrorKind::data, doing, problem, hint);
}

HeaderFields read_header(std::span<const std::byte> file, const std::string& doing) {
  HeaderFields fields{};
  const std::size_t n_magic = std::min(file.size(), magic.size());
  if (file.empty() || std::memcmp(file.data(), magic.data(), n_magic) != 0) {
    refuse(doing, "this is not a file of twistor (its first bytes are others), or its header is damaged",
           "give a file that twistor wrote; if this is one, use another copy or an older generation");
  }
  if (file.size() < header_bytes) {
    refuse(doing,
           fmt::format("truncated: expected a header of {} bytes, got {} bytes", header_bytes, file.size()));
  }
  std::uint32_t stored = 0;
  std::memcpy(&stored, file.data() + crc_at, sizeof stored);
  const std::uint32_t actual = crc32c(file.first(crc_at));
  if (stored != actual) {
    refuse(doing, fmt::format("the header is damaged: expected CRC32C {:08x}, got {:08x}", stored, actual));
  }
  std::memcpy(&fields, file.data(), sizeof fields);
  if (fields.version == 0 || fields.version > format_version) {
    refuse(doing,
           fmt::format("the file has format version {}, this program reads versions 1 to {}", fields.version,
                       format_version),
           "use the version of twistor that wrote it, or a newer one");
  }
  return fields;
}

/// Takes one hexadecimal number and the space after it off the front of `line`.
std::optional<std::uint64_t> take_hex(std::string_view& line) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value, 16);
  if (error != std::errc{} || end == line.data() + line.size() || *end != ' ') return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()) + 1);
  return value;
}

Extent parse_line(std::string_view line, const std::string& doing) {
  const auto offset = take_hex(line);
  const auto n_bytes = offset ? take_hex(line) : std::nullopt;
  const auto crc = n_bytes ? take_hex(line) : std::nullopt;
  if (!crc || *crc > UINT32_MAX || line.empty()) {
    refuse(doing, "the map of the file is damaged: expected lines \"offset bytes crc32c name\"");
  }
  return {*offset, *n_bytes, static_cast<std::uint32_t>(*crc), std::string(line)};
}

}  // namespace

std::string format_map(const std::vector<Extent>& extents) {
  std::string text;
  for (const Extent& e : extents)
    text += fmt::format("{:x} {:x} {:08x} {}\n", e.offset, e.n_bytes, e.crc, e.name);
  return text;
}

std::vector<Extent> parse_map(std::string_view text, std::uint64_t begin, std::uint64_t end,
                              const std::string& doing) {
  std::vector<Extent> extents;
  std::uint64_t at = begin;
  while (!text.empty()) {
    const std::size_t line_end = text.find('\n');
    if (line_end == std::string_view::npos)
      refuse(doing, "the map of the file is damaged: its last line has no end");
    extents.push_back(parse_line(text.substr(0, line_end), doing));
    text.remove_prefix(line_end + 1);
    const Extent& e = extents.back();
    if (e.offset != at || e.n_bytes > end - at) {
      refuse(doing,
             fmt::format(
                 "the map of the file is damaged: expected an extent inside [{}, {}), got {} bytes at {}", at,
                 end, e.n_bytes, e.offset));
    }
    at += e.n_bytes;
  }
  if (at != end)
    refuse(doing, fmt::format("the map of the file is damaged: it ends at {} of {} bytes", at, end));
  return extents;
}

std::vector<std::byte> make_header(std::uint64_t map_offset, std::string_view map, std::uint32_t version) {
  const HeaderFields fields{magic, version, crc32c(std::as_bytes(std::span(map))), map_offset, map.size()};
  std::vector<std::byte> header(header_bytes);
  std::memcpy(header.data(), &fields, sizeof fields);
  const std::uint32_t crc = crc32c(std::span(header).first(crc_at));
  std::memcpy(header.data() + crc_at, &crc, sizeof crc);
  return header;
}

std::uint64_t verify_container(std::span<const std::byte> file, const std::string& doing) {
  const HeaderFields fields = read_header(file, doing);
  const std::uint64_t size = file.size();
  if (fields.map_offset < header_bytes || fields.map_bytes > UINT64_MAX - fields.map_offset) {
    refuse(doing, "the header is damaged: the map lies outside of the file");
  }
  const std::uint64_t expected = fields.map_offset + fields.map_bytes;
  if (size != expected) {
    refuse(doing, fmt::format("{}: expected {} bytes, got {}",
                              size < expected ? "truncated" : "bytes were appended", expected, size));
  }
  const auto map = file.subspan(fields.map_offset);
  if (const std::uint32_t actual = crc32c(map); actual != fields.map_crc) {
    refuse(doing, fmt::format("the map of the file is damaged: expected CRC32C {:08x}, got {:08x}",
                              fields.map_crc, actual));
  }
  const std::string_view text(reinterpret_cast<const char*>(map.data()), map.size());
  for (const Extent& e : parse_map(text, header_bytes, fields.map_offset, doing)) {
    const std::uint32_t actual = crc32c(file.subspan(e.offset, e.n_bytes));
    if (actual != e.crc) {
      refuse(doing, fmt::format("{} is damaged: expected CRC32C {:08x}, got {:08x}",
                                e.name == metadata_name ? e.name : "dataset " + e.name, e.crc, actual));
    }
  }
  return fields.map_offset;
}

}  // namespace twistor::store
