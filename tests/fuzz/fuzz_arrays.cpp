// SPDX-License-Identifier: Apache-2.0
// Any bytes as an HDF5 file that another program wrote, with weights in it.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/store/foreign_arrays.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  static const std::vector<std::string> names = {"a", "layers/b"};
  try {
    (void)store::read_foreign_arrays(std::as_bytes(std::span(data, size)), "fuzz", names);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
