// SPDX-License-Identifier: Apache-2.0
// The checksummed shell around an HDF5 image: every byte of a file is verified before HDF5 sees the first
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::store {

inline constexpr std::uint32_t format_version =
    1;  ///< the newest that this program reads, and the one it writes
inline constexpr std::size_t header_bytes = 512;  ///< HDF5 calls it the user block and skips it
inline constexpr std::string_view metadata_name = "(HDF5 metadata)";

/// A stretch of the file with its checksum; `name` is the dataset that lies there, or metadata_name.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t n_bytes = 0;
  std::uint32_t crc = 0;
  std::string name;
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// The map that ends a file: one line "offset bytes crc32c name" per extent, the numbers in hexadecimal.
[[nodiscard]] std::string format_map(const std::vector<Extent>& extents);

/// Throws Error(data) unless the text is a map whose extents follow each other without gap from `begin` to
/// `end`.
[[nodiscard]] std::vector<Extent> parse_map(std::string_view text, std::uint64_t begin, std::uint64_t end,
                                            const std::string& doing);

/// The 512 bytes that open a file whose HDF5 image ends at `map_offset`, where `map` follows.
[[nodiscard]] std::vector<std::byte> make_header(std::uint64_t map_offset, std::string_view map,
                                                 std::uint32_t version = format_version);

/// Checks length, version and every checksum of a whole file. Throws Error(data) that says which part is
/// damaged: the header, the map, the HDF5 metadata or the dataset by name; or that the file is of a newer
/// format, or none of ours. Returns the offset where the HDF5 image ends. *Local.*
std::uint64_t verify_container(std::span<const std::byte> file, const std::string& doing);

}  // namespace twistor::store
