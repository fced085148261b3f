// SPDX-License-Identifier: Apache-2.0
// Archives: view, write, read, and the choice of a generation.
#include "twistor/store/archive.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "image.hpp"
#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/store/container.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::store {
namespace {

template <class T>
DatasetView view_as(ElementType type, const Array<T>& array) {
  return {type, array.shape, std::as_bytes(std::span(array.values))};
}

/// The checksum of a stretch of the file that was just written; small, since datasets are not read back.
std::uint32_t crc_of_file(int fd, std::uint64_t begin, std::uint64_t end, const std::string& doing) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(end - begin, 1u << 20));
  std::uint32_t crc = 0;
  while (begin < end) {
    const auto want = std::min<std::uint64_t>(buffer.size(), end - begin);
    const ssize_t n = ::pread(fd, buffer.data(), want, static_cast<off_t>(begin));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_io_error(doing, "cannot read back what was written", n < 0 ? errno : EIO);
    crc = crc32c(std::span(buffer).first(static_cast<std::size_t>(n)), crc);
    begin += static_cast<std::uint64_t>(n);
  }
  return crc;
}

/// All extents in order: the datasets, and the HDF5 metadata that fills the gaps between them.
std::vector<Extent> complete_map(int fd, WrittenImage image, const std::string& doing) {
  std::sort(image.datasets.begin(), image.datasets.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> extents;
  std::uint64_t at = header_bytes;
  const auto fill_gap = [&](std::uint64_t until) {
    TWISTOR_ASSERT(until >= at, "datasets overlap in the HDF5 image");
    if (until > at)
      extents.push_back({at, until - at, crc_of_file(fd, at, until, doing), std::string(metadata_name)});
    at = until;
  };
  for (Extent& dataset : image.datasets) {
    fill_gap(dataset.offset);
    at += dataset.n_bytes;
    extents.push_back(std::move(dataset));
  }
  fill_gap(image.end);
  return extents;
}

void write_container(int fd, const ArchiveView& archive, const std::string& kind, const std::string& doing) {
  const WrittenImage image = write_image(fd, archive, kind, doing);
  if (image.error != 0) throw_io_error(doing, "writing failed", image.error);
  const std::string map = format_map(complete_map(fd, image, doing));
  if (const int code = write_fully(fd, std::as_bytes(std::span(map)), image.end); code != 0) {
    throw_io_error(doing, "writing failed", code);
  }
  if (const int code = write_fully(fd, make_header(image.end, map), 0); code != 0) {
    throw_io_error(doing, "writing failed", code);
  }
}

/// Takes a text attribute that every file has out of the archive.
std::string take_text(Archive& archive, const char* name, const std::string& doing) {
  const auto node = archive.attributes.extract(name);
  TWISTOR_CHECK(!node.empty() && std::holds_alternative<std::string>(node.mapped()), ErrorKind::data, doing,
                fmt::format("expected the attribute '{}'", name), "give a file that twistor wrote");
  return std::get<std::string>(node.mapped());
}

std::string problem_with(const std::filesystem::path& path, const Error& error) {
  return fmt::format("{} ({})", path.string(), error.what());
}

}  // namespace

DatasetView view_of(const Array<float>& array) {
  return view_as(ElementType::f32, array);
}
DatasetView view_of(const Array<double>& array) {
  return view_as(ElementType::f64, array);
}
DatasetView view_of(const Array<std::int64_t>& array) {
  return view_as(ElementType::i64, array);
}
DatasetView view_of(const Array<std::uint8_t>& array) {
  return view_as(ElementType::u8, array);
}
DatasetView view_of(const std::string& text) {
  return {ElementType::text, {}, std::as_bytes(std::span(text))};
}

DatasetView view_of(const Dataset& dataset) {
  return std::visit([](const auto& value) { return view_of(value); }, dataset);
}

ArchiveView view_of(const Archive& archive) {
  ArchiveView view{{}, archive.attributes};
  for (const auto& [name, dataset] : archive.datasets) view.datasets.emplace(name, view_of(dataset));
  return view;
}

void write_archive(const std::filesystem::path& path, const ArchiveView& archive, const std::string& kind,
                   const WriteOptions& options) {
  const std::string doing = fmt::format("writing {} {}", kind, path.string());
  AtomicFile file(path, doing);
  write_container(file.descriptor(), archive, kind, doing);
  file.publish({options.generations, options.durable});
}

void write_archive(const std::filesystem::path& path, const Archive& archive, const std::string& kind,
                   const WriteOptions& options) {
  write_archive(path, view_of(archive), kind, options);
}

Archive read_archive(std::span<const std::byte> file, const std::string& origin,
                     const std::string& expected_kind) {
  const std::string doing =
      fmt::format("reading {}{}{}", expected_kind, expected_kind.empty() ? "" : " ", origin);
  const std::uint64_t image_end = verify_container(file, doing);
  Archive archive = read_image(file.first(image_end), doing);
  archive.origin = origin;
  const std::string format = take_text(archive, format_attribute, doing);
  TWISTOR_CHECK(format == format_name, ErrorKind::data, doing, fmt::format("its format is '{}'", format));
  archive.kind = take_text(archive, kind_attribute, doing);
  archive.created_by = take_text(archive, created_by_attribute, doing);
  archive.attributes.erase(version_attribute);
  archive.attributes.erase(directory_attribute);
  TWISTOR_CHECK(expected_kind.empty() || archive.kind == expected_kind, ErrorKind::data, doing,
                fmt::format("expected a file of kind '{}', got kind '{}'", expected_kind, archive.kind),
                "`twistor info FILE` describes a file");
  return archive;
}

Archive read_archive(const std::filesystem::path& path, const std::string& expected_kind) {
  const MappedFile file(path);
  return read_archive(file.bytes(), path.string(), expected_kind);
}

Archive load_latest(const std::filesystem::path& path, const std::string& expected_kind) {
  const std::filesystem::path previous = previous_generation(path);
  try {
    return read_archive(path, expected_kind);
  } catch (const Error& newest) {
    try {
      Archive archive = read_archive(previous, expected_kind);
      log_warning(
          fmt::format("{}; going on with the generation before it, {}", newest.what(), previous.string()));
      return archive;
    } catch (const Error& older) {
      const bool missing = newest.kind() == ErrorKind::no_input && older.kind() == ErrorKind::no_input;
      throw Error(missing ? ErrorKind::no_input : ErrorKind::data,
                  fmt::format("looking for a valid {} {}", expected_kind, path.string()),
                  fmt::format("neither generation can be used: {}; {}", problem_with(path, newest),
                              problem_with(previous, older)),
                  missing ? "check the path, or start from the beginning" : newest.hint());
    }
  }
}

template <class T>
const T& Archive::dataset(const std::string& name) const {
  const auto found = datasets.find(name);
  const T* value = found == datasets.end() ? nullptr : std::get_if<T>(&found->second);
  TWISTOR_CHECK(
      value != nullptr, ErrorKind::data, "reading " + origin,
      fmt::format("dataset '{}' is {}", name, found == datasets.end() ? "missing" : "of an unexpected type"),
      "the file was written by another program or another version of twistor");
  return *value;
}

template <class T>
const T& Archive::attribute(const std::string& name) const {
  const auto found = attributes.find(name);
  const T* value = found == attributes.end() ? nullptr : std::get_if<T>(&found->second);
  TWISTOR_CHECK(value != nullptr, ErrorKind::data, "reading " + origin,
                fmt::format("attribute '{}' is {}", name,
                            found == attributes.end() ? "missing" : "of an unexpected type"),
                "the file was written by another program or another version of twistor");
  return *value;
}

template const Array<float>& Archive::dataset(const std::string&) const;
template const Array<double>& Archive::dataset(const std::string&) const;
template const Array<std::int64_t>& Archive::dataset(const std::string&) const;
template const Array<std::uint8_t>& Archive::dataset(const std::string&) const;
template const std::string& Archive::dataset(const std::string&) const;
template const std::string& Archive::attribute(const std::string&) const;
template const std::int64_t& Archive::attribute(const std::string&) const;
template const double& Archive::attribute(const std::string&) const;

}  // namespace twistor::store
