// SPDX-License-Identifier: Apache-2.0
// Shapes and sizes of datasets, checked.
#include "dataset_read.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>

namespace twistor::store::hdf5 {

[[noreturn]] void refuse(const Context& context, const std::string& problem) {
  throw Error(
      ErrorKind::data, context.doing, problem,
      "the file was changed by another program or is damaged; use another copy or an older generation");
}

void check_layout(hid_t dataset, const std::string& name, const Context& context) {
  const PropertyList list(TWISTOR_HDF5(context, H5Dget_create_plist, dataset));
  if (H5Pget_layout(list.get()) != H5D_CONTIGUOUS || H5Pget_external_count(list.get()) != 0) {
    refuse(context, fmt::format("dataset {} is not stored in one piece", name));
  }
}

std::vector<std::int64_t> read_shape(hid_t dataset, const std::string& name, const Context& context) {
  const Dataspace space(TWISTOR_HDF5(context, H5Dget_space, dataset));
  std::array<hsize_t, H5S_MAX_RANK> dims{};
  const int rank = TWISTOR_HDF5(context, H5Sget_simple_extent_ndims, space.get());
  TWISTOR_HDF5(context, H5Sget_simple_extent_dims, space.get(), dims.data(), nullptr);
  if (H5Sget_simple_extent_type(space.get()) == H5S_NULL)
    refuse(context, fmt::format("dataset {} is void", name));
  std::vector<std::int64_t> shape;
  for (int i = 0; i < rank; ++i) {
    const hsize_t n = dims[static_cast<std::size_t>(i)];
    if (n > static_cast<hsize_t>(std::numeric_limits<std::int64_t>::max())) {
      refuse(context, fmt::format("dataset {} has an impossible shape", name));
    }
    shape.push_back(static_cast<std::int64_t>(n));
  }
  return shape;
}

std::size_t count_elements(hid_t dataset, const std::vector<std::int64_t>& shape, std::size_t element_bytes,
                           const std::string& name, const Context& context) {
  const std::uint64_t stored = H5Dget_storage_size(dataset) / element_bytes;
  std::uint64_t count = 1;
  for (const std::int64_t n : shape) {
    if (n == 0) return 0;
    const auto factor = static_cast<std::uint64_t>(n);
    if (count > stored / factor)
      refuse(context, fmt::format("dataset {} holds less than its shape says", name));
    count *= factor;
  }
  if (count > stored) refuse(context, fmt::format("dataset {} holds less than its shape says", name));
  return static_cast<std::size_t>(count);
}

}  // namespace twistor::store::hdf5
