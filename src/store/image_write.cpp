// SPDX-License-Identifier: Apache-2.0
// Writing the HDF5 image.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "hdf5_wrapper.hpp"
#include "image.hpp"
#include "twistor/store/crc32c.hpp"
#include "twistor/store/version.hpp"

namespace twistor::store {
namespace {

constexpr std::size_t longest_attribute =
    60000;  // HDF5's own limit is 64 KiB with the header of the attribute

void check_name(const std::string& name, const hdf5::Context& context) {
  const std::string slashed = "/" + name + "/";
  const bool has_control = std::any_of(name.begin(), name.end(), [](char c) { return c >= 0 && c < ' '; });
  const bool ok = !name.empty() && !has_control && slashed.find("//") == std::string::npos &&
                  slashed.find("/./") == std::string::npos && name != metadata_name;
  TWISTOR_CHECK(ok, ErrorKind::internal, context.doing,
                fmt::format("'{}' cannot name a dataset or attribute", name),
                "names are not empty and have no control characters, empty parts or '.' parts");
}

void check_text(const std::string& text, const std::string& name, const hdf5::Context& context) {
  TWISTOR_CHECK(text.find('\0') == std::string::npos, ErrorKind::internal, context.doing,
                fmt::format("the text '{}' holds a zero byte", name), "store bytes as an array of u8");
}

void check_shape(const std::string& name, const DatasetView& view, const hdf5::Context& context) {
  std::uint64_t n_bytes = size_of(view.type);
  bool ok = view.shape.size() <= H5S_MAX_RANK;
  for (const std::int64_t n : view.shape) {
    ok = ok && n >= 0 &&
         (n == 0 || n_bytes <= std::numeric_limits<std::int64_t>::max() / static_cast<std::uint64_t>(n));
    if (ok) n_bytes *= static_cast<std::uint64_t>(n);
  }
  if (view.type == ElementType::text) n_bytes = view.bytes.size();
  TWISTOR_CHECK(ok && n_bytes == view.bytes.size(), ErrorKind::internal, context.doing,
                fmt::format("dataset '{}': its shape ({}) and its {} bytes do not agree", name,
                            fmt::join(view.shape, ", "), view.bytes.size()));
}

hdf5::Datatype string_type(std::size_t n_bytes, const hdf5::Context& context) {
  hdf5::Datatype type(TWISTOR_HDF5(context, H5Tcopy, H5T_C_S1));
  TWISTOR_HDF5(context, H5Tset_size, type.get(), std::max<std::size_t>(1, n_bytes));
  TWISTOR_HDF5(context, H5Tset_strpad, type.get(), H5T_STR_NULLPAD);
  TWISTOR_HDF5(context, H5Tset_cset, type.get(), H5T_CSET_UTF8);
  return type;
}

hdf5::Datatype type_of(const DatasetView& view, const hdf5::Context& context) {
  switch (view.type) {
    case ElementType::f32:
      return hdf5::Datatype(TWISTOR_HDF5(context, H5Tcopy, H5T_IEEE_F32LE));
    case ElementType::f64:
      return hdf5::Datatype(TWISTOR_HDF5(context, H5Tcopy, H5T_IEEE_F64LE));
    case ElementType::i64:
      return hdf5::Datatype(TWISTOR_HDF5(context, H5Tcopy, H5T_STD_I64LE));
    case ElementType::u8:
      return hdf5::Datatype(TWISTOR_HDF5(context, H5Tcopy, H5T_STD_U8LE));
    case ElementType::text:
      break;
  }
  return string_type(view.bytes.size(), context);
}

void write_attribute(hid_t owner, const std::string& name, hid_t type, const void* value,
                     const hdf5::Context& context) {
  const hdf5::Dataspace scalar(TWISTOR_HDF5(context, H5Screate, H5S_SCALAR));
  const hdf5::Attribute attribute(
      TWISTOR_HDF5(context, H5Acreate2, owner, name.c_str(), type, scalar.get(), H5P_DEFAULT, H5P_DEFAULT));
  TWISTOR_HDF5(context, H5Awrite, attribute.get(), type, value);
}

void write_attribute(hid_t owner, const std::string& name, const Attribute& value,
                     const hdf5::Context& context) {
  check_name(name, context);
  if (const auto* text = std::get_if<std::string>(&value)) {
    check_text(*text, name, context);
    TWISTOR_CHECK(
        text->size() <= longest_attribute, ErrorKind::internal, context.doing,
        fmt::format("attribute '{}' has {} bytes, at most {} fit", name, text->size(), longest_attribute),
        "store long texts as datasets");
    const hdf5::Datatype type = string_type(text->size(), context);
    write_attribute(owner, name, type.get(), text->c_str(), context);  // an empty text writes its final zero
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    write_attribute(owner, name, H5T_STD_I64LE, integer, context);
  } else {
    write_attribute(owner, name, H5T_IEEE_F64LE, &std::get<double>(value), context);
  }
}

/// The property lists that all datasets share.
struct DatasetLists {
  hdf5::PropertyList link, creation;

  explicit DatasetLists(const hdf5::Context& context)
      : link(TWISTOR_HDF5(context, H5Pcreate, H5P_LINK_CREATE)),
        creation(TWISTOR_HDF5(context, H5Pcreate, H5P_DATASET_CREATE)) {
    TWISTOR_HDF5(context, H5Pset_create_intermediate_group, link.get(), 1u);
    TWISTOR_HDF5(context, H5Pset_char_encoding, link.get(), H5T_CSET_UTF8);
    TWISTOR_HDF5(context, H5Pset_layout, creation.get(), H5D_CONTIGUOUS);
    TWISTOR_HDF5(context, H5Pset_fill_time, creation.get(), H5D_FILL_TIME_NEVER);
    TWISTOR_HDF5(context, H5Pset_obj_track_times, creation.get(), false);  // equal contents give equal files
  }
};

/// Writes one dataset and returns where it lies (n_bytes = 0 for one without elements).
Extent write_dataset(hid_t file, const std::string& name, const DatasetView& view, const DatasetLists& lists,
                     const hdf5::Context& context) {
  check_name(name, context);
  check_shape(name, view, context);
  const hdf5::Datatype type = type_of(view, context);
  const std::vector<hsize_t> dims(view.shape.begin(), view.shape.end());
  const hdf5::Dataspace space(
      dims.empty()
          ? TWISTOR_HDF5(context, H5Screate, H5S_SCALAR)
          : TWISTOR_HDF5(context, H5Screate_simple, static_cast<int>(dims.size()), dims.data(), nullptr));
  const hdf5::Dataset dataset(TWISTOR_HDF5(context, H5Dcreate2, file, name.c_str(), type.get(), space.get(),
                                           lists.link.get(), lists.creation.get(), H5P_DEFAULT));
  Extent extent{0, view.bytes.size(), crc32c(view.bytes), name};
  write_attribute(dataset.get(), dataset_crc_attribute, H5T_STD_U32LE, &extent.crc, context);
  if (view.bytes.empty()) return extent;
  TWISTOR_HDF5(context, H5Dwrite, dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
               view.bytes.data());
  extent.offset = H5Dget_offset(dataset.get());
  TWISTOR_CHECK(extent.offset != HADDR_UNDEF, ErrorKind::internal, context.doing,
                fmt::format("HDF5 gave dataset '{}' no place", name));
  return extent;
}

std::map<std::string, Attribute> all_attributes(const ArchiveView& archive, const std::string& kind,
                                                const hdf5::Context& context) {
  std::map<std::string, Attribute> all{{format_attribute, format_name},
                                       {version_attribute, std::int64_t{format_version}},
                                       {kind_attribute, kind},
                                       {created_by_attribute, program_name()},
                                       {directory_attribute, std::int64_t{0}}};
  for (const auto& [name, value] : archive.attributes) {
    TWISTOR_CHECK(all.emplace(name, value).second, ErrorKind::internal, context.doing,
                  fmt::format("the attribute name '{}' is reserved", name));
  }
  return all;
}

hdf5::File create_file(const hdf5::Access& access, const hdf5::Context& context) {
  const hdf5::PropertyList creation(TWISTOR_HDF5(context, H5Pcreate, H5P_FILE_CREATE));
  TWISTOR_HDF5(context, H5Pset_userblock, creation.get(), hsize_t{header_bytes});
  return hdf5::File(TWISTOR_HDF5(context, H5Fcreate, "image", H5F_ACC_TRUNC, creation.get(), access.id()));
}

}  // namespace

WrittenImage write_image(int fd, const ArchiveView& archive, const std::string& kind,
                         const std::string& doing) {
  const hdf5::QuietErrors quiet;
  const hdf5::Context context{ErrorKind::internal, doing};
  hdf5::Medium medium{fd};
  const hdf5::Access access(medium, context);
  WrittenImage image;
  hdf5::File file = create_file(access, context);
  std::vector<DirectoryEntry> directory;
  const DatasetLists lists(context);
  for (const auto& [name, view] : archive.datasets) {
    Extent extent = write_dataset(file.get(), name, view, lists, context);
    directory.push_back({name, view.type, view.shape, extent.crc});
    if (extent.n_bytes > 0) image.datasets.push_back(std::move(extent));
    if (medium.error != 0) break;  // the disk is full: no use in going on
  }
  auto attributes = all_attributes(archive, kind, context);
  attributes[directory_attribute] = std::int64_t{directory_crc(directory, attributes)};
  for (const auto& [name, value] : attributes) write_attribute(file.get(), name, value, context);
  TWISTOR_HDF5(context, H5Fclose, file.release());
  image.error = medium.error;
  image.end = medium.end;
  return image;
}

}  // namespace twistor::store
