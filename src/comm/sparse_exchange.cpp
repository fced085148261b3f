// SPDX-License-Identifier: Apache-2.0
// Sparse exchange by nonblocking sends and matched probes.
#include "twistor/comm/sparse_exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tags.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

constexpr const char* doing = "exchanging parcels";

/// A count and a datatype that together mean `n_bytes`.
class Extent {
 public:
  Extent(std::size_t n_bytes, std::size_t block_bytes) {
    if (n_bytes <= block_bytes) {
      count_ = static_cast<int>(n_bytes);
      return;
    }
    const std::size_t n_blocks = n_bytes / block_bytes, rest = n_bytes % block_bytes;
    MPI_Datatype block = MPI_DATATYPE_NULL;
    TWISTOR_MPI(MPI_Type_contiguous(static_cast<int>(block_bytes), MPI_BYTE, &block), doing);
    const std::array lengths = {static_cast<int>(n_blocks), static_cast<int>(rest)};
    const std::array offsets = {MPI_Aint{0}, static_cast<MPI_Aint>(n_blocks * block_bytes)};
    const std::array types = {block, MPI_Datatype{MPI_BYTE}};
    TWISTOR_MPI(MPI_Type_create_struct(2, lengths.data(), offsets.data(), types.data(), &type_), doing);
    TWISTOR_MPI(MPI_Type_commit(&type_), doing);
    TWISTOR_MPI(MPI_Type_free(&block), doing);
    is_owned_ = true;
  }
  // MPI keeps a datatype alive while a message that uses it is on its way.
  ~Extent() {
    if (is_owned_) MPI_Type_free(&type_);
  }
  Extent(const Extent&) = delete;
  Extent& operator=(const Extent&) = delete;

  [[nodiscard]] int count() const noexcept { return count_; }
  [[nodiscard]] MPI_Datatype type() const noexcept { return type_; }

 private:
  int count_ = 1;
  MPI_Datatype type_ = MPI_BYTE;
  bool is_owned_ = false;
};

void check_peers(std::vector<int> peers, const Communicator& comm) {
  std::sort(peers.begin(), peers.end());
  TWISTOR_ASSERT(peers.empty() || (peers.front() >= 0 && peers.back() < comm.size()),
                 fmt::format("a parcel's peer is one of {} ranks (got {} to {})", comm.size(), peers.front(),
                             peers.back()));
  TWISTOR_ASSERT(std::adjacent_find(peers.begin(), peers.end()) == peers.end(), "there is one parcel a peer");
}

void check_destinations(std::span<const Parcel> outgoing, const Communicator& comm) {
  std::vector<int> peers;
  for (const Parcel& parcel : outgoing) peers.push_back(parcel.peer);
  check_peers(std::move(peers), comm);
}

/// Allocates for a message that was probed and starts to receive it. The parcel must not move until the
/// request is done.
MPI_Request receive_probed(MPI_Message& message, const MPI_Status& status, std::size_t block_bytes,
                           Parcel& into) {
  MPI_Count n_bytes = 0;
  TWISTOR_MPI(MPI_Get_elements_x(&status, MPI_BYTE, &n_bytes), doing);
  into.peer = status.MPI_SOURCE;
  into.bytes.resize(static_cast<std::size_t>(n_bytes));
  const Extent extent(into.bytes.size(), block_bytes);
  MPI_Request request = MPI_REQUEST_NULL;
  TWISTOR_MPI(MPI_Imrecv(into.bytes.data(), extent.count(), extent.type(), &message, &request), doing);
  return request;
}

void wait_all(std::vector<MPI_Request>& requests) {
  TWISTOR_MPI(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE), doing);
}

}  // namespace

std::vector<Parcel> detail::sparse_exchange(std::span<const Parcel> outgoing, std::span<const int> sources,
                                            const Communicator& comm, std::size_t block_bytes) {
  std::vector<int> ordered(sources.begin(), sources.end());
  check_peers(ordered, comm);
  check_destinations(outgoing, comm);
  std::sort(ordered.begin(), ordered.end());

  std::vector<MPI_Request> requests;
  requests.reserve(outgoing.size() + ordered.size());
  const Parcel* own = nullptr;
  for (const Parcel& parcel : outgoing) {
    if (parcel.peer == comm.rank()) {
      own = &parcel;
      continue;
    }
    const Extent extent(parcel.bytes.size(), block_bytes);
    TWISTOR_MPI(MPI_Isend(parcel.bytes.data(), extent.count(), extent.type(), parcel.peer, tags::parcel,
                          native(comm), &requests.emplace_back(MPI_REQUEST_NULL)),
                doing);
  }
  TWISTOR_ASSERT((own != nullptr) == std::binary_search(ordered.begin(), ordered.end(), comm.rank()),
                 "a rank that sends to itself is one of its own sources");
  std::vector<Parcel> arrived(ordered.size());
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    if (ordered[i] == comm.rank()) {
      arrived[i] = *own;
      continue;
    }
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    TWISTOR_MPI(MPI_Mprobe(ordered[i], tags::parcel, native(comm), &message, &status), doing);
    requests.push_back(receive_probed(message, status, block_bytes, arrived[i]));
  }
  wait_all(requests);
  return arrived;
}

std::vector<Parcel> sparse_exchange(std::span<const Parcel> outgoing, std::span<const int> sources,
                                    const Communicator& comm) {
  return detail::sparse_exchange(outgoing, sources, comm, detail::parcel_block_bytes);
}

std::vector<Parcel> sparse_exchange(std::span<const Parcel> outgoing, const Communicator& comm) {
  check_destinations(outgoing, comm);
  // Synchronous sends are done when they have been matched, so when all ranks are past the barrier below,
  // nothing is on its way any more.
  std::vector<MPI_Request> sends;
  for (const Parcel& parcel : outgoing) {
    const Extent extent(parcel.bytes.size(), detail::parcel_block_bytes);
    TWISTOR_MPI(MPI_Issend(parcel.bytes.data(), extent.count(), extent.type(), parcel.peer,
                           tags::unannounced_parcel, native(comm), &sends.emplace_back(MPI_REQUEST_NULL)),
                doing);
  }
  std::vector<Parcel> arrived;
  MPI_Request barrier = MPI_REQUEST_NULL;
  for (int is_over = 0, is_waiting = 0; is_over == 0;) {
    int has_message = 0, are_sent = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    TWISTOR_MPI(
        MPI_Improbe(MPI_ANY_SOURCE, tags::unannounced_parcel, native(comm), &has_message, &message, &status),
        doing);
    if (has_message != 0) {
      MPI_Request request =
          receive_probed(message, status, detail::parcel_block_bytes, arrived.emplace_back());
      TWISTOR_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE), doing);
    }
    if (is_waiting != 0) {
      TWISTOR_MPI(MPI_Test(&barrier, &is_over, MPI_STATUS_IGNORE), doing);
      continue;
    }
    TWISTOR_MPI(MPI_Testall(static_cast<int>(sends.size()), sends.data(), &are_sent, MPI_STATUSES_IGNORE),
                doing);
    if (are_sent != 0) {
      TWISTOR_MPI(MPI_Ibarrier(native(comm), &barrier), doing);
      is_waiting = 1;
    }
  }
  // A rank that has seen the end may start the next exchange while another still probes for this one.
  comm.barrier();
  std::sort(arrived.begin(), arrived.end(), [](const Parcel& a, const Parcel& b) { return a.peer < b.peer; });
  return arrived;
}

}  // namespace twistor::comm
