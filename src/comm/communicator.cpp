// SPDX-License-Identifier: Apache-2.0
// Communicators and groups.
#include "twistor/comm/communicator.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <exception>
#include <string>

#include "twistor/base/error.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {

void throw_mpi_error(int code, const char* call, const char* doing, std::source_location where) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
  const std::string expression = call;
  throw Error(ErrorKind::peer, doing,
              fmt::format("{} failed: {}", expression.substr(0, expression.find('(')),
                          length > 0 ? std::string(text, static_cast<std::size_t>(length))
                                     : fmt::format("code {}", code)),
              "another rank may have died or the network may be down; look for the first message of any rank",
              where);
}

void detail::CommunicatorTraits::close(type handle) noexcept {
  // Freeing is collective: while one rank alone unwinds, or after MPI_Finalize, there is nobody to do it
  // with.
  int is_finalized = 0;
  if (std::uncaught_exceptions() > 0 || MPI_Finalized(&is_finalized) != MPI_SUCCESS || is_finalized != 0)
    return;
  MPI_Comm raw = from_opaque(handle);
  MPI_Comm_free(&raw);  // nothing sensible can be done about a failure here
}

Communicator::Communicator(std::uintptr_t handle, bool is_owned)
    : owned_(is_owned ? handle : 0), handle_(handle) {
  const MPI_Comm raw = native(*this);
  TWISTOR_MPI(MPI_Comm_set_errhandler(raw, MPI_ERRORS_RETURN), "making a communicator");
  TWISTOR_MPI(MPI_Comm_rank(raw, &rank_), "making a communicator");
  TWISTOR_MPI(MPI_Comm_size(raw, &size_), "making a communicator");
}

Communicator Communicator::world() {
  return {to_opaque(MPI_COMM_WORLD), false};
}

Communicator Communicator::self() {
  return {to_opaque(MPI_COMM_SELF), false};
}

Communicator Communicator::adopt(std::uintptr_t handle) {
  return {handle, true};
}

Communicator Communicator::split(int color) const {
  TWISTOR_ASSERT(color >= 0, "the color of a split is not negative");
  MPI_Comm made = MPI_COMM_NULL;
  TWISTOR_MPI(MPI_Comm_split(native(*this), color, rank_, &made), "splitting a communicator");
  Communicator out = adopt(to_opaque(made));
  if (out.size() == size_) out.tensors_ = tensors_;
  return out;
}

Communicator Communicator::duplicate() const {
  MPI_Comm made = MPI_COMM_NULL;
  TWISTOR_MPI(MPI_Comm_dup(native(*this), &made), "duplicating a communicator");
  return adopt(to_opaque(made));
}

Communicator Communicator::node() const {
  MPI_Comm made = MPI_COMM_NULL;
  TWISTOR_MPI(MPI_Comm_split_type(native(*this), MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &made),
              "finding the ranks of this node");
  return adopt(to_opaque(made));
}

void Communicator::barrier() const {
  TWISTOR_MPI(MPI_Barrier(native(*this)), "waiting for all ranks");
}

void Communicator::abort(int code) const noexcept {
  MPI_Abort(native(*this), code);
  std::_Exit(code);  // MPI_Abort does not return, but its declaration does not say so
}

Groups make_groups(const Communicator& world, int ranks_per_population) {
  const int n_ranks = world.size();
  const int per_group = ranks_per_population == 0 ? n_ranks : ranks_per_population;
  TWISTOR_CHECK(per_group > 0 && n_ranks % per_group == 0, ErrorKind::config, "cutting the ranks into groups",
                fmt::format("run.ranks_per_population = {} does not divide the {} ranks of this job",
                            ranks_per_population, n_ranks),
                "choose a divisor of the number of ranks, or 0 for one group of all ranks");
  const int index = world.rank() / per_group;
  return {.group = world.split(index),
          .across = world.split(world.rank() % per_group),
          .n_groups = n_ranks / per_group,
          .group_index = index};
}

}  // namespace twistor::comm
