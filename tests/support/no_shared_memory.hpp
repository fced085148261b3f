// SPDX-License-Identifier: Apache-2.0
// While it lives, there is no room for memory that the ranks of a node share.
#pragma once

#include <cstdlib>

namespace twistor::test {

class NoSharedMemory {
 public:
  NoSharedMemory() { ::setenv(variable, "/proc", 1); }  // a file system without a free block
  NoSharedMemory(const NoSharedMemory&) = delete;
  NoSharedMemory& operator=(const NoSharedMemory&) = delete;
  ~NoSharedMemory() { ::unsetenv(variable); }

 private:
  static constexpr const char* variable = "OMPI_MCA_osc_sm_backing_directory";
};

}  // namespace twistor::test
