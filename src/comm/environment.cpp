// MPI's life time and the arithmetic mode.
#include "twistor/comm/environment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

constexpr const char* mode_variable = "MKL_CBWR";
using ModeText = std::array<char, 64>;

const char* best_mode() noexcept {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return "AVX512,STRICT";
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "AVX2,STRICT" : "COMPATIBLE";
}

/// The mode that every rank's processor has, given what each chose for itself.
std::string weakest(const std::vector<ModeText>& modes) {
  std::string found = "AVX512,STRICT";
  for (const ModeText& mode : modes) {
    const std::string text(mode.data());
    if (text.starts_with("AVX512")) continue;
    if (!text.starts_with("AVX2")) return "COMPATIBLE";
    found = "AVX2,STRICT";
  }
  return found;
}

}  // namespace

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

void fix_arithmetic_mode() {
  setenv(mode_variable, best_mode(), 0);
}

void agree_on_arithmetic_mode(const Communicator& comm) {
  ModeText mine{};
  const char* value = std::getenv(mode_variable);
  std::strncpy(mine.data(), value == nullptr ? "" : value, mine.size() - 1);
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.size()), 1);
  const auto modes = all_gather_v(std::span<const ModeText>(&mine, 1), counts, comm);
  const auto other =
      std::find_if(modes.begin(), modes.end(), [&](const ModeText& mode) { return mode != modes[0]; });
  if (other == modes.end()) return;
  throw Error(ErrorKind::config, "agreeing on the arithmetic of matrix products",
              fmt::format("the ranks differ in {}: rank 0 has '{}', rank {} has '{}'", mode_variable,
                          modes[0].data(), other - modes.begin(), other->data()),
              fmt::format("export {}={} on every node before the start", mode_variable, weakest(modes)));
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  TWISTOR_MPI(MPI_Get_library_version(text, &length), "asking MPI for its version");
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace twistor::comm
