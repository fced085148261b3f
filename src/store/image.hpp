// SPDX-License-Identifier: Apache-2.0
// The HDF5 part of a file: written to a descriptor, read from memory that was verified.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/store/archive.hpp"
#include "twistor/store/container.hpp"

namespace twistor::store {

// Root attributes that every file has; names that callers may not use.
inline constexpr const char* format_attribute = "format";
inline constexpr const char* version_attribute = "format_version";
inline constexpr const char* kind_attribute = "kind";
inline constexpr const char* created_by_attribute = "created_by";
inline constexpr const char* directory_attribute = "directory_crc32c";
inline constexpr const char* dataset_crc_attribute = "crc32c";
inline constexpr const char* format_name = "twistor";

[[nodiscard]] std::string_view name_of(ElementType type) noexcept;
[[nodiscard]] std::size_t size_of(ElementType type) noexcept;

struct DirectoryEntry {
  std::string name;
  ElementType type = ElementType::u8;
  std::vector<std::int64_t> shape;
  std::uint32_t crc = 0;
};

/// One CRC32C over names, types, shapes and checksums of all datasets and over all attributes but itself.
[[nodiscard]] std::uint32_t directory_crc(const std::vector<DirectoryEntry>& entries,
                                          const std::map<std::string, Attribute>& attributes);

struct WrittenImage {
  int error = 0;                 ///< errno of the first write that failed, else 0
  std::uint64_t end = 0;         ///< offset after the image
  std::vector<Extent> datasets;  ///< those that occupy space, in no order
};

/// Writes the HDF5 image after header_bytes bytes left free. Throws Error(internal) for what a file cannot
/// hold.
[[nodiscard]] WrittenImage write_image(int fd, const ArchiveView& archive, const std::string& kind,
                                       const std::string& doing);

/// Reads an image (header bytes included) and checks the checksums inside it. Throws Error(data).
[[nodiscard]] Archive read_image(std::span<const std::byte> file, const std::string& doing);

}  // namespace twistor::store
