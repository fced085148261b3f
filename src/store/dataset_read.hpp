// SPDX-License-Identifier: Apache-2.0
// One dataset of an HDF5 file, trusting nothing that the file says about it. Private to the store room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hdf5_wrapper.hpp"
#include "twistor/base/array.hpp"

namespace twistor::store::hdf5 {

/// Throws Error(data).
[[noreturn]] void refuse(const Context& context, const std::string& problem);

/// Refuses chunks and filters (which may load plugins) and data in other files.
void check_layout(hid_t dataset, const std::string& name, const Context& context);

[[nodiscard]] std::vector<std::int64_t> read_shape(hid_t dataset, const std::string& name,
                                                   const Context& context);

/// Elements that the shape asks for; never more than the dataset's own bytes hold, so that no shape can
/// exhaust memory.
[[nodiscard]] std::size_t count_elements(hid_t dataset, const std::vector<std::int64_t>& shape,
                                         std::size_t element_bytes, const std::string& name,
                                         const Context& context);

template <class T>
Array<T> read_array(hid_t dataset, hid_t type, const std::string& name, const Context& context) {
  Array<T> array;
  array.shape = read_shape(dataset, name, context);
  array.values.resize(count_elements(dataset, array.shape, sizeof(T), name, context));
  if (!array.values.empty()) {
    TWISTOR_HDF5(context, H5Dread, dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data());
  }
  return array;
}

}  // namespace twistor::store::hdf5
