// SPDX-License-Identifier: Apache-2.0
// Named datasets and attributes in memory, and their journey to and from a file that is whole or refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "twistor/base/array.hpp"

namespace twistor::store {

/// A text is a dataset of its own because attributes are limited to 64 KiB.
using Dataset =
    std::variant<Array<float>, Array<double>, Array<std::int64_t>, Array<std::uint8_t>, std::string>;
using Attribute = std::variant<std::string, std::int64_t, double>;

/// A whole file. Dataset names may be paths ("parameters/head.0.weight"); attributes belong to the file.
struct Archive {
  std::map<std::string, Dataset> datasets;
  std::map<std::string, Attribute> attributes;
  std::string kind;        ///< "checkpoint", "exact-samples" or "results"; filled on reading
  std::string created_by;  ///< program and version; filled on reading
  std::string origin;      ///< the file, for messages; filled on reading

  /// The part of that name. Throws Error(data) naming file and part if it is missing or of another type.
  template <class T>
  [[nodiscard]] const T& dataset(const std::string& name) const;
  template <class T>
  [[nodiscard]] const T& attribute(const std::string& name) const;
};

enum class ElementType { f32, f64, i64, u8, text };

/// A dataset that lies in somebody else's memory, so that writing copies nothing.
struct DatasetView {
  ElementType type = ElementType::u8;
  std::vector<std::int64_t> shape;  ///< empty for texts
  std::span<const std::byte> bytes;
};

struct ArchiveView {
  std::map<std::string, DatasetView> datasets;
  std::map<std::string, Attribute> attributes;
};

/// Views stay valid as long as what they look at.
[[nodiscard]] DatasetView view_of(const Dataset& dataset);
[[nodiscard]] DatasetView view_of(const Array<float>& array);
[[nodiscard]] DatasetView view_of(const Array<double>& array);
[[nodiscard]] DatasetView view_of(const Array<std::int64_t>& array);
[[nodiscard]] DatasetView view_of(const Array<std::uint8_t>& array);
[[nodiscard]] DatasetView view_of(const std::string& text);
[[nodiscard]] ArchiveView view_of(const Archive& archive);

struct WriteOptions {
  int generations = 2;  ///< 2 keeps the file that is replaced as "<stem>.previous<extension>"; 1 does not
  bool durable = true;  ///< survives a power cut too (fsync); false: survives a kill only
};

/// Writes the file so that a kill at any moment leaves the old or the new one, whole, under `path` or the
/// name of the previous generation. *Local*: one rank calls it. Throws Error(io) if the disk is full or the
/// folder cannot be written (nothing is left behind then), Error(internal) for names or texts that a file
/// cannot hold.
void write_archive(const std::filesystem::path& path, const ArchiveView& archive, const std::string& kind,
                   const WriteOptions& options = {});
void write_archive(const std::filesystem::path& path, const Archive& archive, const std::string& kind,
                   const WriteOptions& options = {});

/// Reads a file after verifying every byte of it. An empty `expected_kind` accepts any kind. *Local.*
/// Throws Error(no_input) if it is missing, Error(data) if it is damaged, truncated, of a newer format or
/// another kind.
[[nodiscard]] Archive read_archive(const std::filesystem::path& path, const std::string& expected_kind);
/// The same for a file that is in memory; `origin` is its name in messages.
[[nodiscard]] Archive read_archive(std::span<const std::byte> file, const std::string& origin,
                                   const std::string& expected_kind);

/// The newest valid one of `path` and its previous generation, with a warning in the log if it is not the
/// first. Throws Error(no_input) if neither is there, Error(data) with both reasons if neither is valid.
/// *Local.*
[[nodiscard]] Archive load_latest(const std::filesystem::path& path, const std::string& expected_kind);

}  // namespace twistor::store
