// SPDX-License-Identifier: Apache-2.0
// What the kernels are asked to do, and the table of those who can launch them. Plain pointers into the
// device's memory: sources compiled by nvcc see no Torch header. Private to the device room.
#pragma once

#include <cstdint>
#include <memory>

#include "twistor/device/adam.hpp"

namespace twistor::device::cuda {

/// A tensor of float32 or bfloat16 that a kernel writes.
struct Output {
  void* data = nullptr;
  bool is_bfloat16 = false;
};

/// A matrix of float32 or bfloat16 that a kernel reads.
struct Input {
  const void* data = nullptr;
  bool is_bfloat16 = false;
};

/// x = scale table[tokens] + positions[their places].
struct EmbedTask {
  const std::int64_t* tokens = nullptr;  ///< (n)
  std::int64_t n = 0;
  int d = 0;
  Input table, positions;  ///< rows of d; positions may be missing
  float scale = 1;
  const int* position = nullptr;  ///< of the first new token
  int n_tokens = 1;
  float* out = nullptr;
};

/// x += scale y, n numbers.
struct AddTask {
  float* x = nullptr;
  const float* y = nullptr;
  float scale = 1;
  std::int64_t n = 0;
};

/// Rows from one place of the device's memory to another; pitches: bytes from a row to the next.
struct CopyTask {
  void* to = nullptr;
  std::int64_t to_pitch = 0;
  const void* from = nullptr;
  std::int64_t from_pitch = 0;
  std::int64_t row_bytes = 0, rows = 0;
};

/// y = x W^T + bias, or y += x W^T + bias: (n, columns) of (n, k) and (columns, k), sums in float32.
struct ProductTask {
  const void *x = nullptr, *w = nullptr;
  bool is_bfloat16 = false;     ///< x and w
  const float* bias = nullptr;  ///< (columns); may be missing
  std::int64_t n = 0, columns = 0, k = 0;
  float* y = nullptr;
  std::int64_t ldy = 0;
  bool accumulate = false;
};

/// Runs of d numbers to runs of unit variance, times weight plus bias. Each of n rows, `stride` numbers
/// apart, begins with `runs` of them; `out` has the same layout and may be x.
struct NormTask {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;  ///< none: rms_norm
  float eps = 0;
  std::int64_t n = 0, stride = 0;
  int runs = 1, d = 0;
  Output out;
};

/// out = f(x + bias), or f(gate) up where x holds (gate, up) beside each other.
struct ActivateTask {
  const float* x = nullptr;  ///< (n, f), or (n, 2 f) if gated
  std::int64_t n = 0, f = 0;
  int kind = 0;  ///< ActivationKind
  bool is_gated = false;
  Output out;
};

/// Turns queries and keys to their positions, in place, and stores keys and values.
struct StoreTask {
  float* qkv = nullptr;  ///< (n, (n_heads + 2 n_kv_heads) head_size)
  std::int64_t n = 0;
  int n_heads = 0, n_kv_heads = 0, head_size = 0;
  const std::int64_t* slots = nullptr;             ///< (n) block * 16 + place in it
  const float *cosine = nullptr, *sine = nullptr;  ///< (n_tokens, pairs); none: positions are learned
  int pairs = 0, n_tokens = 1;
  bool is_interleaved = false;
  Output keys, values;  ///< (capacity, 16, n_kv_heads, head_size)
};

/// Each row over its sequence's blocks.
struct AttendTask {
  const float* qkv = nullptr;
  std::int64_t n = 0;
  int n_heads = 0, n_kv_heads = 0, head_size = 0;
  const void *keys = nullptr, *values = nullptr;
  bool is_bfloat16 = false;             ///< of keys and values
  const std::int32_t* table = nullptr;  ///< (sequences, blocks_each)
  int blocks_each = 0, n_tokens = 1;    ///< row r is token r % n_tokens of sequence r / n_tokens
  int position = 0;                     ///< of the first new token, or no less where position_at has it
  const int* position_at = nullptr;     ///< may be missing
  int window = 0;                       ///< 0: all
  float scale = 1, cap = 0;
  Output out{};  ///< (n, n_heads head_size)
};

/// log sum exp of each block of 256 columns, of a and of a + beta b.
struct BlockSumsTask {
  const float *a = nullptr, *b = nullptr;  ///< (n, blocks * 256); b may be missing
  float beta = 1;
  std::int64_t n = 0;
  int blocks = 0;
  double *of_a = nullptr, *of_scores = nullptr;  ///< (n, blocks); of_scores only with b
};

/// log sum exp of rows, (n) from (n, width).
struct RowSumsTask {
  const double* x = nullptr;
  std::int64_t n = 0;
  int width = 0;
  double* out = nullptr;
};

/// Token, a and b at it, of each of k draws: (3, k).
struct DrawTask {
  const float *a = nullptr, *b = nullptr;
  float beta = 1;
  bool draws_from_sum = false;                        ///< from a + beta b, else from a
  const double *sums = nullptr, *log_sums = nullptr;  ///< (n, blocks), (n)
  int blocks = 0;
  const std::int64_t* row_of = nullptr;  ///< (k)
  const double* u = nullptr;             ///< (k)
  const std::int64_t* forced = nullptr;  ///< (k) tokens taken instead where not below 0; may be missing
  std::int64_t k = 0;
  double* out = nullptr;
};

/// One step of n numbers, in place.
struct AdamTask {
  AdamStep step{};
  float *value = nullptr, *m = nullptr, *v = nullptr;
  const float* gradient = nullptr;
  const std::int64_t* place = nullptr;  ///< of each row of `width` in the gradient; below 0: it has none
  std::int64_t n = 0, width = 1;
};

/// Launches that were recorded, to be done again. Pointers and sizes stay as they were.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void replay() const = 0;
};

/// Who launches. Nothing waits.
struct Launchers {
  void (*embed)(const EmbedTask&);
  void (*add)(const AddTask&);
  void (*copy)(const CopyTask&);
  /// false: it cannot, and has done nothing.
  bool (*product)(const ProductTask&);
  void (*norm)(const NormTask&);
  void (*activate)(const ActivateTask&);
  void (*store)(const StoreTask&);
  void (*attend)(const AttendTask&);
  void (*block_sums)(const BlockSumsTask&);
  void (*row_sums)(const RowSumsTask&);
  void (*draw)(const DrawTask&);
  void (*adam)(const AdamTask&);
  /// Between these two launches are recorded, not done. nullptr: recording was refused.
  void (*begin_recording)();
  std::shared_ptr<const Recording> (*end_recording)();
  /// What went wrong since the last call; nullptr: nothing.
  const char* (*error)();
};

/// Of the emulator, in host memory.
[[nodiscard]] const Launchers& emulated_launchers();
/// Of the current GPU's default stream; nullptr in a build without nvcc.
[[nodiscard]] const Launchers* gpu_launchers();

/// Whether the kernel can do it: heads are whole pieces of 16 bytes, and the weights of all positions fit
/// into shared memory.
[[nodiscard]] bool fits(const AttendTask& task);

}  // namespace twistor::device::cuda
