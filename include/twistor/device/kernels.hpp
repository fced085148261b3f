// SPDX-License-Identifier: Apache-2.0
// The table of CPU kernels that exists once for each instruction set, and the one that is in use.
#pragma once

#include <cstddef>
#include <cstdint>

namespace twistor::device {

/// Tokens of a block of keys and values.
inline constexpr std::int64_t kv_block_tokens = 16;
/// Query heads of one row that attend together at most.
inline constexpr std::int64_t heads_together = 4;
/// Queries of a text that attend together at most.
inline constexpr std::int64_t queries_together = 4;
/// Columns of a panel of a packed matrix, and the rows of a tile of its products.
inline constexpr std::int64_t panel_width = 32;
inline constexpr std::int64_t tile_rows = 96;

/// A panel of codes of 4 or 8 bits: for each `group` of neighbours along K, 32 float32 scales, 32 offsets,
/// then the codes.
struct CodePanel {
  const std::byte* data = nullptr;
  std::int64_t k = 0, group = 0;
  bool is_four_bits = false;
};

/// What happens to a tile of sums on its way out: y = sums + bias, or y += sums + bias.
struct TileOutput {
  float* y = nullptr;  ///< (rows, width) with row stride ldy
  std::int64_t ldy = 0, width = 0;
  const float* bias = nullptr;  ///< (width) or none
  bool accumulate = false;
};

/// Some query heads of one row that share a head of keys and values, over blocks of 16 tokens. Keys lie
/// (head_size, 16), values (16, padded) in elements of float32 or bfloat16.
struct HeadsTask {
  const float* q = nullptr;  ///< (n_heads, head_size)
  float* out = nullptr;      ///< (n_heads, head_size)
  std::int64_t n_heads = 0;  ///< at most heads_together
  std::int64_t head_size = 0, padded = 0;
  bool is_bfloat16 = false;
  const std::byte* const* blocks = nullptr;  ///< (n_blocks), of the positions from 16 first_block on
  std::int64_t n_blocks = 0, first_block = 0;
  std::int64_t begin = 0, end = 0;                ///< positions that are seen
  std::int64_t key_offset = 0, value_offset = 0;  ///< elements from a block's start
  const std::byte* const* next_blocks = nullptr;  ///< (n_next), to be fetched ahead, from next_keys on
  std::int64_t n_next = 0, next_keys = 0;         ///< bytes from a block's start
  float scale = 1, cap = 0;                       ///< scores become cap tanh(x scale / cap) where cap > 0
  float* scores = nullptr;                        ///< room for (n_heads, 16 n_blocks)
};

/// All queries of one head of a text.
struct TextHeadTask {
  const float* q = nullptr;  ///< (length, size) with row stride ldq
  float* out = nullptr;      ///< (length, size) with row stride ldout
  std::int64_t ldq = 0, ldout = 0, length = 0, size = 0, padded = 0;
  const float* keys = nullptr;    ///< (ceil(length / 16), size, 16), zeros after the last key
  const float* values = nullptr;  ///< (length, padded)
  const float* added = nullptr;   ///< (length, 16 ceil(length / 16)), to the products before `scale`; or none
  float scale = 1;
  float* scores = nullptr;  ///< room for (queries_together, 16 ceil(length / 16))
};

/// Kernels on one thread. Each output is one chain of operations in a fixed order, so a row's bits depend on
/// that row alone.
struct Kernels {
  // Products: sums (rows, 32) = x (rows, K) panel^T, rows <= tile_rows, each sum a chain of fused
  // multiply-adds in the order of k.
  void (*tile_float32)(const float* x, std::int64_t ldx, std::int64_t rows, const std::byte* panel,
                       std::int64_t k, float* sums);
  void (*tile_codes)(const float* x, std::int64_t ldx, std::int64_t rows, const CodePanel& panel,
                     float* sums);
  /// x: rows that prepare_bfloat16 made, one after another.
  void (*tile_bfloat16)(const std::uint32_t* x, std::int64_t rows, const std::byte* panel, std::int64_t k,
                        float* sums);
  /// Words of one row of k numbers as tile_bfloat16 wants it.
  std::int64_t (*prepared_words)(std::int64_t k);
  /// Rounds a row to bfloat16.
  void (*prepare_bfloat16)(const float* x, std::int64_t k, std::uint32_t* out);
  void (*write_tile)(const float* sums, std::int64_t rows, const TileOutput& output);

  // Rows: n values, in place unless there is an `out`. See row_kernels.hpp.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, std::int64_t n,
                     float* out);
  void (*rms_norm)(const float* x, const float* weight, float eps, std::int64_t n, float* out);
  void (*gelu_tanh)(float* x, std::int64_t n);
  void (*gelu_erf)(float* x, std::int64_t n);
  void (*relu)(float* x, std::int64_t n);
  void (*tanh)(float* x, std::int64_t n);
  void (*silu)(float* x, std::int64_t n);
  void (*soft_cap)(float* x, std::int64_t n, float cap);
  void (*times)(const float* a, const float* b, std::int64_t n, float* out);
  void (*rotate)(float* head, const float* cosine, const float* sine, std::int64_t pairs,
                 bool is_interleaved);

  // Vocabulary.
  /// max(x), NaN skipped; -inf for n = 0.
  float (*max_of)(const float* x, std::int64_t n);
  /// sum of exp(x - shift) in 16 float32 lanes and a fixed tree.
  float (*sum_exp)(const float* x, std::int64_t n, float shift);
  /// out = exp(x - shift).
  void (*exp_of)(const float* x, std::int64_t n, float shift, float* out);

  // Attention: out = softmax(q k^T scale) v.
  void (*attend_heads)(const HeadsTask& task);
  void (*attend_text_head)(const TextHeadTask& task);
  /// out (rows, 16 n_blocks) = q . k of rows (size) with stride ldq and keys (n_blocks, size, 16).
  void (*dot_text_head)(const float* q, std::int64_t ldq, std::int64_t rows, std::int64_t size,
                        const float* keys, std::int64_t n_blocks, float* out);
};

/// The kernels of isa_in_use(). *Local.*
[[nodiscard]] const Kernels& kernels();

}  // namespace twistor::device
