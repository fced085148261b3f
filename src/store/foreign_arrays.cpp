// SPDX-License-Identifier: Apache-2.0
// Reading arrays by name from HDF5 files of other programs.
#include "twistor/store/foreign_arrays.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "dataset_read.hpp"
#include "hdf5_wrapper.hpp"
#include "twistor/base/mapped_file.hpp"

namespace twistor::store {
namespace {

/// Whether every step of the way is there and lies in this file: a soft link may run in circles, an external
/// one open any file.
bool is_reachable(hid_t file, const std::string& name) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = name.find('/', end + 1);
    H5L_info_t info{};
    const std::string part = name.substr(0, end);
    if (H5Lget_info(file, part.c_str(), &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD) return false;
  }
  return true;
}

Array<float> read_one(hid_t file, const std::string& name, const hdf5::Context& context) {
  const hdf5::Object object(TWISTOR_HDF5(context, H5Oopen, file, name.c_str(), H5P_DEFAULT));
  if (H5Iget_type(object.get()) != H5I_DATASET) hdf5::refuse(context, fmt::format("{} is no dataset", name));
  hdf5::check_layout(object.get(), name, context);
  const hdf5::Datatype type(TWISTOR_HDF5(context, H5Dget_type, object.get()));
  if (H5Tequal(type.get(), H5T_IEEE_F32LE) <= 0)
    hdf5::refuse(context, fmt::format("dataset {} is not of type float32", name));
  auto array = hdf5::read_array<float>(object.get(), H5T_NATIVE_FLOAT, name, context);
  if (!std::ranges::all_of(array.values, [](float x) { return std::isfinite(x); }))
    hdf5::refuse(context, fmt::format("dataset {} has values that are no finite numbers", name));
  return array;
}

}  // namespace

std::vector<Array<float>> read_foreign_arrays(std::span<const std::byte> file, const std::string& origin,
                                              std::span<const std::string> names) {
  const hdf5::QuietErrors quiet;
  const hdf5::Context context{ErrorKind::data, "reading arrays from " + origin};
  hdf5::Medium medium;
  medium.bytes = file;
  const hdf5::Access access(medium, context);
  const hdf5::File opened(TWISTOR_HDF5(context, H5Fopen, "weights", H5F_ACC_RDONLY, access.id()));
  std::vector<std::string> missing;
  for (const std::string& name : names)
    if (!is_reachable(opened.get(), name)) missing.push_back(name);
  TWISTOR_CHECK(missing.empty(), ErrorKind::data, context.doing,
                fmt::format("it has no dataset {}", fmt::join(missing, ", ")),
                "is it the file of another model?");
  std::vector<Array<float>> arrays;
  for (const std::string& name : names) arrays.push_back(read_one(opened.get(), name, context));
  return arrays;
}

std::vector<Array<float>> read_foreign_arrays(const std::filesystem::path& file,
                                              std::span<const std::string> names) {
  const MappedFile mapped(file);
  return read_foreign_arrays(mapped.bytes(), file.string(), names);
}

}  // namespace twistor::store
