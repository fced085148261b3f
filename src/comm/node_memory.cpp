// SPDX-License-Identifier: Apache-2.0
// Node memory on MPI's shared windows.
#include "twistor/comm/node_memory.hpp"

#include <fmt/format.h>

#include <sys/statvfs.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/comm/agreement.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

constexpr const char* doing = "sharing memory between the ranks of a node";
constexpr std::size_t page_bytes = 4096;

/// Whether the file system behind shared memory can hold that much. Open MPI asks too, but when its answer is
/// no the other ranks wait for the first one for ever.
bool has_room(std::size_t bytes, const Communicator& node) {
  if (node.size() == 1) return true;  // plain memory: a failure comes back as a code
  const char* folder = std::getenv("OMPI_MCA_osc_sm_backing_directory");
  struct statvfs room {};
  if (statvfs(folder == nullptr ? "/dev/shm" : folder, &room) != 0) return true;  // it lives elsewhere
  const double available = static_cast<double>(room.f_bavail) * static_cast<double>(room.f_frsize);
  return available > 1.1 * static_cast<double>(bytes) + 0x1p20;  // Open MPI keeps a reserve
}

/// Sizes differ where ranks have read different files.
void require_same_size(std::size_t bytes, const Communicator& comm) {
  const std::size_t least = all_reduce_min(bytes, comm), most = all_reduce_max(bytes, comm);
  TWISTOR_CHECK(least == most, ErrorKind::data, doing,
                fmt::format("some ranks want {} bytes and others {}", least, most), hint_of_different_files);
}

}  // namespace

struct NodeMemory::Window {
  explicit Window(const Communicator& comm) : node(comm.duplicate()) {}
  ~Window() {
    // Freeing is collective: a rank that unwinds alone leaves it to the end of the job.
    int is_finalized = 0;
    if (handle == MPI_WIN_NULL || std::uncaught_exceptions() > 0) return;
    if (MPI_Finalized(&is_finalized) != MPI_SUCCESS || is_finalized != 0) return;
    MPI_Win_unlock_all(handle);
    MPI_Win_free(&handle);
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  Communicator node;
  MPI_Win handle = MPI_WIN_NULL;
  std::span<std::byte> bytes;
};

NodeMemory::NodeMemory(const Communicator& node, std::size_t bytes)
    : window_(std::make_unique<Window>(node)) {
  require_same_size(bytes, window_->node);
  const bool writes = node.rank() == 0;
  const auto agree = [&](bool is_fine) {
    TWISTOR_CHECK(all_reduce_min(static_cast<int>(is_fine), window_->node) != 0, ErrorKind::config, doing,
                  fmt::format("there is no room for {} bytes", bytes),
                  "enlarge /dev/shm (docker: --shm-size), or let Open MPI put it elsewhere: export "
                  "OMPI_MCA_osc_sm_backing_directory=DIR");
  };
  agree(!writes || has_room(bytes, node));
  // Every rank maps the segment at an address of its own but on a page, so rounding up finds the same byte
  // everywhere.
  const auto mine = static_cast<MPI_Aint>(writes ? bytes + page_bytes : 0);
  void* base = nullptr;
  agree(MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, native(window_->node), static_cast<void*>(&base),
                                &window_->handle) == MPI_SUCCESS);
  TWISTOR_MPI(MPI_Win_set_errhandler(window_->handle, MPI_ERRORS_RETURN), doing);
  TWISTOR_MPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, window_->handle), doing);

  MPI_Aint size = 0;
  int unit = 0;
  TWISTOR_MPI(MPI_Win_shared_query(window_->handle, 0, &size, &unit, static_cast<void*>(&base)), doing);
  const std::size_t skip = (page_bytes - reinterpret_cast<std::uintptr_t>(base) % page_bytes) % page_bytes;
  window_->bytes = {static_cast<std::byte*>(base) + skip, bytes};
}

std::optional<NodeMemory> NodeMemory::if_room(const Communicator& node, std::size_t bytes) {
  try {
    return NodeMemory(node, bytes);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::config) throw;
    if (node.rank() == 0) log_warning(fmt::format("each rank has a copy of its own: {}", error.text()));
    return std::nullopt;
  }
}

NodeMemory::NodeMemory(NodeMemory&&) noexcept = default;
NodeMemory& NodeMemory::operator=(NodeMemory&&) noexcept = default;
NodeMemory::~NodeMemory() = default;

std::span<std::byte> NodeMemory::bytes() const noexcept {
  return window_->bytes;
}

bool NodeMemory::is_writer() const noexcept {
  return window_->node.rank() == 0;
}

void NodeMemory::publish() {
  TWISTOR_MPI(MPI_Win_sync(window_->handle), doing);  // the writer's stores leave, ...
  window_->node.barrier();
  TWISTOR_MPI(MPI_Win_sync(window_->handle), doing);  // ... and arrive
}

void NodeMemory::publish_from_first(const Communicator& world) {
  TWISTOR_ASSERT(world.rank() != 0 || is_writer(), "the first rank is the first of its node");
  require_same_size(bytes().size(), world);
  const Communicator first_of_node = world.split(is_writer() ? 0 : 1);
  if (is_writer()) broadcast(bytes(), 0, first_of_node);
  publish();
}

namespace {

class CommonNodeMemory final : public CommonMemory {
 public:
  CommonNodeMemory(const Communicator& node, NodeMemory memory)
      : rank_(node.rank()), size_(node.size()), memory_(std::move(memory)) {}
  std::span<std::byte> bytes() const override { return memory_.bytes(); }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void meet() const override { memory_.publish(); }

 private:
  int rank_, size_;
  mutable NodeMemory memory_;
};

}  // namespace

std::shared_ptr<CommonMemory> common_memory(const Communicator& node, std::size_t bytes) {
  std::optional<NodeMemory> memory = NodeMemory::if_room(node, bytes);
  return memory ? std::make_shared<CommonNodeMemory>(node, std::move(*memory)) : nullptr;
}

}  // namespace twistor::comm
