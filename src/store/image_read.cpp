// SPDX-License-Identifier: Apache-2.0
// Reading the HDF5 image, trusting nothing that it says about itself.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "dataset_read.hpp"
#include "hdf5_wrapper.hpp"
#include "image.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::store {

using hdf5::check_layout;
using hdf5::read_array;
using hdf5::read_shape;
using hdf5::refuse;

namespace {

/// Adds the name of a link to the list; C calls it, so no exception may leave.
herr_t collect_link(hid_t, const char* name, const H5L_info_t* info, void* names) {
  if (info->type != H5L_TYPE_HARD) return -1;
  try {
    static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  } catch (const std::exception&) {
    return -1;
  }
  return 0;
}

herr_t collect_attribute(hid_t, const char* name, const H5A_info_t*, void* names) {
  try {
    static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  } catch (const std::exception&) {
    return -1;
  }
  return 0;
}

std::optional<ElementType> element_type_of(hid_t type) {
  if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0) return ElementType::text;
  if (H5Tequal(type, H5T_IEEE_F32LE) > 0) return ElementType::f32;
  if (H5Tequal(type, H5T_IEEE_F64LE) > 0) return ElementType::f64;
  if (H5Tequal(type, H5T_STD_I64LE) > 0) return ElementType::i64;
  if (H5Tequal(type, H5T_STD_U8LE) > 0) return ElementType::u8;
  return std::nullopt;
}

Attribute read_attribute(hid_t owner, const std::string& name, const hdf5::Context& context) {
  const hdf5::Attribute attribute(TWISTOR_HDF5(context, H5Aopen, owner, name.c_str(), H5P_DEFAULT));
  const hdf5::Datatype type(TWISTOR_HDF5(context, H5Aget_type, attribute.get()));
  const hdf5::Dataspace space(TWISTOR_HDF5(context, H5Aget_space, attribute.get()));
  const auto element = element_type_of(type.get());
  if (H5Sget_simple_extent_type(space.get()) != H5S_SCALAR || !element) {
    refuse(context, fmt::format("attribute '{}' is neither a text nor a single number", name));
  }
  switch (*element) {
    case ElementType::text: {
      std::string text(H5Tget_size(type.get()), '\0');
      TWISTOR_HDF5(context, H5Aread, attribute.get(), type.get(), text.data());
      if (text == std::string(1, '\0')) text.clear();
      return text;
    }
    case ElementType::i64: {
      std::int64_t value = 0;
      TWISTOR_HDF5(context, H5Aread, attribute.get(), H5T_NATIVE_INT64, &value);
      return value;
    }
    case ElementType::f64: {
      double value = 0;
      TWISTOR_HDF5(context, H5Aread, attribute.get(), H5T_NATIVE_DOUBLE, &value);
      return value;
    }
    case ElementType::f32:
    case ElementType::u8:
      break;
  }
  refuse(context,
         fmt::format("attribute '{}' has type {}, expected text, i64 or f64", name, name_of(*element)));
}

std::uint32_t read_stored_crc(hid_t dataset, const std::string& name, const hdf5::Context& context) {
  if (H5Aexists(dataset, dataset_crc_attribute) <= 0)
    refuse(context, fmt::format("dataset {} has no checksum", name));
  const hdf5::Attribute attribute(
      TWISTOR_HDF5(context, H5Aopen, dataset, dataset_crc_attribute, H5P_DEFAULT));
  const hdf5::Datatype type(TWISTOR_HDF5(context, H5Aget_type, attribute.get()));
  if (H5Tequal(type.get(), H5T_STD_U32LE) <= 0)
    refuse(context, fmt::format("dataset {}: unfit checksum", name));
  std::uint32_t crc = 0;
  TWISTOR_HDF5(context, H5Aread, attribute.get(), H5T_NATIVE_UINT32, &crc);
  return crc;
}

std::string read_text(hid_t dataset, hid_t type, const std::string& name, const hdf5::Context& context) {
  if (!read_shape(dataset, name, context).empty())
    refuse(context, fmt::format("dataset {} is a list of texts", name));
  std::string text(static_cast<std::size_t>(H5Dget_storage_size(dataset)), '\0');
  if (text.empty()) return text;  // an empty text occupies no space
  if (text.size() != H5Tget_size(type))
    refuse(context, fmt::format("dataset {} has an impossible length", name));
  TWISTOR_HDF5(context, H5Dread, dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data());
  return text;
}

Dataset read_dataset(hid_t dataset, const std::string& name, const hdf5::Context& context) {
  check_layout(dataset, name, context);
  const hdf5::Datatype type(TWISTOR_HDF5(context, H5Dget_type, dataset));
  const auto element = element_type_of(type.get());
  if (!element) refuse(context, fmt::format("dataset {} has a type that twistor does not write", name));
  switch (*element) {
    case ElementType::f32:
      return read_array<float>(dataset, H5T_NATIVE_FLOAT, name, context);
    case ElementType::f64:
      return read_array<double>(dataset, H5T_NATIVE_DOUBLE, name, context);
    case ElementType::i64:
      return read_array<std::int64_t>(dataset, H5T_NATIVE_INT64, name, context);
    case ElementType::u8:
      return read_array<std::uint8_t>(dataset, H5T_NATIVE_UINT8, name, context);
    case ElementType::text:
      break;
  }
  return read_text(dataset, type.get(), name, context);
}

/// Reads and checks the object of that name; groups add nothing.
void read_object(hid_t file, const std::string& name, Archive& archive,
                 std::vector<DirectoryEntry>& directory, const hdf5::Context& context) {
  const hdf5::Object object(TWISTOR_HDF5(context, H5Oopen, file, name.c_str(), H5P_DEFAULT));
  const H5I_type_t type = H5Iget_type(object.get());
  if (type == H5I_GROUP) return;
  if (type != H5I_DATASET) refuse(context, fmt::format("{} is neither a dataset nor a group", name));
  Dataset dataset = read_dataset(object.get(), name, context);
  const DatasetView view = view_of(dataset);
  const std::uint32_t expected = read_stored_crc(object.get(), name, context), actual = crc32c(view.bytes);
  if (expected != actual) {
    refuse(context,
           fmt::format("dataset {} is damaged: expected CRC32C {:08x}, got {:08x}", name, expected, actual));
  }
  directory.push_back({name, view.type, view.shape, actual});
  archive.datasets.emplace(name, std::move(dataset));
}

}  // namespace

Archive read_image(std::span<const std::byte> bytes, const std::string& doing) {
  const hdf5::QuietErrors quiet;
  const hdf5::Context context{ErrorKind::data, doing};
  hdf5::Medium medium;
  medium.bytes = bytes;
  const hdf5::Access access(medium, context);
  const hdf5::File file(TWISTOR_HDF5(context, H5Fopen, "image", H5F_ACC_RDONLY, access.id()));

  Archive archive;
  std::vector<std::string> names;
  TWISTOR_HDF5(context, H5Aiterate2, file.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_attribute,
               &names);
  for (const std::string& name : names)
    archive.attributes.emplace(name, read_attribute(file.get(), name, context));

  names.clear();
  std::vector<DirectoryEntry> directory;
  TWISTOR_HDF5(context, H5Lvisit, file.get(), H5_INDEX_NAME, H5_ITER_INC, collect_link, &names);
  for (const std::string& name : names) read_object(file.get(), name, archive, directory, context);
  std::sort(directory.begin(), directory.end(), [](const auto& a, const auto& b) { return a.name < b.name; });

  const std::int64_t actual = directory_crc(directory, archive.attributes);
  const auto stored = archive.attributes.find(directory_attribute);
  if (stored == archive.attributes.end() || stored->second != Attribute(actual)) {
    refuse(context, "the directory of names, shapes and attributes does not match its checksum");
  }
  return archive;
}

}  // namespace twistor::store
