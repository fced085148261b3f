// SPDX-License-Identifier: Apache-2.0
// The seam between models and machines: what a decoder and its heads ask of whoever keeps the weights and
// computes. Written once over it, they run on the CPU's own kernels or on ATen's, on any device of ATen's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/device/adam.hpp"
#include "twistor/device/kv_store.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/device/pass.hpp"

namespace twistor::device {

enum class NormKind { layer_norm, rms_norm };
enum class ActivationKind { gelu_tanh, gelu_erf, silu, relu, tanh };

/// A weight matrix (N, K) as its engine keeps it: panels on the CPU engine, else a tensor.
struct Weight {
  PackedMatrix packed;
  std::shared_ptr<const void> owner;  ///< of the panels' memory, unless that outlives the matrix anyway
  at::Tensor dense{};                 ///< (N, K)
  at::Tensor padded{};                ///< the same with rows of zeros up to a number that suits the device

  [[nodiscard]] std::int64_t n() const { return dense.defined() ? dense.size(0) : packed.n(); }
  [[nodiscard]] std::int64_t k() const { return dense.defined() ? dense.size(1) : packed.k(); }
};

/// x W^T + b.
struct Linear {
  Weight weight;
  at::Tensor bias;  ///< (N) float32; undefined: none
};

struct Norm {
  NormKind kind = NormKind::layer_norm;
  float eps = 1e-5f;
  at::Tensor weight, bias;  ///< (D) float32; bias of a layer_norm only
  bool feeds_product =
      false;  ///< whether a product of the model's precision takes all there is of the result
  [[nodiscard]] bool is_defined() const { return weight.defined(); }
};

/// Rows by number: an embedding.
struct Table {
  /// Reads one row as float32.
  using Reader = std::function<void(std::int64_t row, std::span<float> out)>;
  std::int64_t width = 0;
  Reader read;      ///< CPU engine: rows stay where the file maps them
  at::Tensor rows;  ///< (N, D) else
};

/// A parameter that Adam changes, (n) or (rows, width), and its moments of the same shape: contiguous
/// float32.
struct AdamTensors {
  at::Tensor value, m, v;
};

class VocabularyKernels;

/// Keeps weights and blocks, and computes on rows of float32. All tensors lie on device(). A result named
/// `out` is written into that tensor or becomes another one, as the engine likes; it may be an argument too.
/// *Local.*
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  virtual ~Engine() = default;
  /// For people: "cpu", "aten on cuda:0".
  [[nodiscard]] virtual std::string description() const = 0;
  [[nodiscard]] virtual at::Device device() const = 0;
  /// Whether a row of any result has the same bits in every batch.
  [[nodiscard]] virtual bool keeps_bits() const = 0;
  /// Who sums and draws from whole rows of scores; nullptr: scores are worked off in host memory, tile by
  /// tile.
  [[nodiscard]] virtual const VocabularyKernels* vocabulary() const = 0;
  /// How many of those are there at a time; 0: all there are. See EngineOptions::score_rows.
  [[nodiscard]] virtual std::int64_t score_rows() const { return 0; }
  /// Whether weights are tensors on device(), and not panels in main memory.
  [[nodiscard]] bool keeps_tensors() const { return vocabulary() != nullptr; }
  /// The same device for a model of that precision.
  [[nodiscard]] virtual std::shared_ptr<const Engine> for_precision(Precision) const {
    return shared_from_this();
  }
  /// Rows that one pass should have at the most: bounds its buffers.
  [[nodiscard]] virtual std::int64_t rows_at_once() const = 0;

  // Weights.
  /// Whether codes of 4 or 8 bits stay codes, where products are those of `precision`.
  [[nodiscard]] virtual bool keeps_codes(Precision precision) const = 0;
  /// Bytes that make_weight would put into the memory given to it; 0: it takes none.
  [[nodiscard]] virtual std::size_t weight_bytes(std::int64_t n, std::int64_t k,
                                                 PanelLayout layout) const = 0;
  /// A matrix to be filled, in that memory (64-byte aligned, of weight_bytes), or its own if nullptr.
  [[nodiscard]] virtual Weight make_weight(std::int64_t n, std::int64_t k, PanelLayout layout,
                                           std::byte* memory = nullptr) const = 0;
  /// Writes rows from row-major float32; row_begin and, unless the rows end the matrix, their number are
  /// multiples of PackedMatrix::panel_columns.
  virtual void write_rows(Weight& weight, std::int64_t row_begin, std::span<const float> rows) const = 0;
  /// Writes the whole matrix, given as (K, N).
  virtual void write_transposed(Weight& weight, std::span<const float> columns) const = 0;
  /// Some rows as float32, (rows.size(), K).
  [[nodiscard]] virtual at::Tensor read_rows(const Weight& weight,
                                             std::span<const std::int64_t> rows) const = 0;
  [[nodiscard]] virtual Table make_table(std::int64_t n, std::int64_t width, bool is_bfloat16,
                                         Table::Reader read) const = 0;
  /// A vector as float32 tensor.
  [[nodiscard]] at::Tensor upload(std::span<const float> values) const;
  [[nodiscard]] virtual std::unique_ptr<KvStore> make_kv_store(const KvShape& shape) const = 0;

  // Rows.
  /// Uninitialised float32.
  [[nodiscard]] at::Tensor empty(at::IntArrayRef sizes) const;
  /// out = rows of the table, or out += them.
  virtual void look_up(const Table& table, std::span<const std::int64_t> rows, at::Tensor& out,
                       bool accumulate) const = 0;
  virtual void normalise(const Norm& norm, const at::Tensor& x, at::Tensor& out) const = 0;
  /// The columns [begin, end) of x by an rms_norm, in place: each run of as many as the norm has weights by
  /// itself.
  virtual void normalise_runs(const Norm& norm, at::Tensor& x, std::int64_t begin,
                              std::int64_t end) const = 0;
  /// y = x W^T + b, or y += x W^T + b, in place.
  virtual void project(const at::Tensor& x, const Linear& w, at::Tensor& y,
                       bool accumulate = false) const = 0;
  /// The columns [v_begin, v_end) of it, into the first columns of y, whose others stay; v_begin is a
  /// multiple of PackedMatrix::panel_columns.
  virtual void project_columns(const at::Tensor& x, const Linear& w, std::int64_t v_begin, std::int64_t v_end,
                               at::Tensor& y) const = 0;
  /// out = f(x), or f(x[:, :F]) x[:, F:] if gated.
  virtual void activate(ActivationKind kind, bool is_gated, at::Tensor& x, at::Tensor& out) const = 0;
  /// The first `width` columns of x become cap tanh(x / cap), in place.
  virtual void soft_cap(at::Tensor& x, std::int64_t width, float cap) const = 0;
  /// x += scale y, in place.
  virtual void add(at::Tensor& x, const at::Tensor& y, float scale) const = 0;
  /// Each row over its root mean square; rows of zeros stay.
  [[nodiscard]] virtual at::Tensor unit_rms(const at::Tensor& x) const = 0;
  [[nodiscard]] virtual std::unique_ptr<AttentionPass> begin_attention(const AttentionShape& shape,
                                                                       const KvRows& rows) const = 0;
  /// Owned by one model, for which `body` is the same always.
  [[nodiscard]] virtual std::unique_ptr<PassRunner> make_pass_runner(const AttentionShape& shape,
                                                                     const PassSizes& sizes) const;
  /// begins: (texts + 1) first rows, from 0 on.
  [[nodiscard]] virtual std::unique_ptr<TextPass> begin_texts(std::span<const std::int64_t> begins) const = 0;
  /// Whether x is finite. An engine that would have to wait for its device says true: what sums the scores
  /// finds out.
  [[nodiscard]] virtual bool is_finite(const at::Tensor& x) const = 0;

  // Gradients; sums run over rows in their order.
  /// a^T b, (m, n), of a (rows, m) and b (rows, n).
  [[nodiscard]] virtual at::Tensor product_at_b(const at::Tensor& a, const at::Tensor& b) const = 0;
  /// (n) of x (rows, n).
  [[nodiscard]] virtual at::Tensor column_sums(const at::Tensor& x) const = 0;
  /// out[group_of[i]] += weight[i] x[i], (n_groups, D).
  [[nodiscard]] virtual at::Tensor sum_by_group(const at::Tensor& x, std::span<const float> weight,
                                                std::span<const std::int64_t> group_of,
                                                std::int64_t n_groups) const = 0;
  /// One step, in place. `gradient` has the parameter's shape, or is that of `rows` (increasing) and zero in
  /// all others, which still move by their moments: the bits are those of the whole gradient.
  virtual void adam(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
                    const at::Tensor& gradient, const AdamTensors& parameter) const = 0;
};

/// Numbers in main memory as a tensor that views them; written to only by who may change them.
[[nodiscard]] at::Tensor view_of(std::span<const float> values, at::IntArrayRef sizes);
/// The numbers of a float32 tensor in main memory, where they lie; contiguous.
[[nodiscard]] std::span<const float> numbers_in(const at::Tensor& x);
/// A tensor of float32, as numbers. *Local.*
[[nodiscard]] std::vector<float> to_host(const at::Tensor& x);

/// The packed kernels of this processor: every row has the same bits in every batch.
[[nodiscard]] std::shared_ptr<const Engine> cpu_engine();

}  // namespace twistor::device
