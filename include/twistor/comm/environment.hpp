// SPDX-License-Identifier: Apache-2.0
// MPI's life time, and the way an error ends the job.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// MPI is up while this lives. Make one at the top of main, before any Communicator. Works with and without
/// mpirun.
class Environment {
 public:
  /// *Collective over all ranks.* Throws Error(config) if MPI lacks MPI_THREAD_FUNNELED, Error(internal) if
  /// MPI is up.
  Environment(int& argc, char**& argv);
  /// Finalizes MPI, except while an exception unwinds: the other ranks would never join (see
  /// report_and_abort).
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  /// Whether a launcher (mpirun, srun) started this process; otherwise it is a run of one rank. *Local.*
  [[nodiscard]] static bool launched_by_mpirun() noexcept;

 private:
  int n_exceptions_;
};

/// The MPI library's own name and version, its first line. *Local.*
[[nodiscard]] std::string mpi_version();

/// The exit code that an exception stands for: an Error's own, else 70 (internal). *Local.*
[[nodiscard]] int exit_code_of(const std::exception& error) noexcept;

/// Prints "[rank r/P] DOING: PROBLEM" with the hint to stderr and ends the whole job with the error's exit
/// code within 5 s, whatever the other ranks are doing. `world` may be null before MPI is up. *Local*: an
/// error that all ranks raise alike is printed once, because ranks other than 0 first give rank 0 time to end
/// the job. `doing` is used for exceptions that do not say it themselves.
[[noreturn]] void report_and_abort(const Communicator* world, const std::exception& error,
                                   std::string_view doing);

}  // namespace twistor::comm
