// SPDX-License-Identifier: Apache-2.0
// MPI's life time.
#include "twistor/comm/environment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "twistor/base/error.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {

Environment::Environment(int& argc, char**& argv) : n_exceptions_(std::uncaught_exceptions()) {
  int is_up = 0, provided = 0;
  TWISTOR_MPI(MPI_Initialized(&is_up), "starting MPI");
  TWISTOR_ASSERT(is_up == 0, "only one Environment is made in a process");
  TWISTOR_MPI(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "starting MPI");
  TWISTOR_CHECK(provided >= MPI_THREAD_FUNNELED, ErrorKind::config, "starting MPI",
                fmt::format("thread support is too weak (expected level {} or more, got {})",
                            int{MPI_THREAD_FUNNELED}, provided),
                "use an MPI library that was built with thread support");
  TWISTOR_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "starting MPI");
  TWISTOR_MPI(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN), "starting MPI");
}

Environment::~Environment() {
  if (std::uncaught_exceptions() == n_exceptions_) MPI_Finalize();
}

bool Environment::launched_by_mpirun() noexcept {
  constexpr std::array variables = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "MPI_LOCALNRANKS"};
  return std::any_of(variables.begin(), variables.end(),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  TWISTOR_MPI(MPI_Get_library_version(text, &length), "asking MPI for its version");
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace twistor::comm
