// SPDX-License-Identifier: Apache-2.0
// Reading stored tensors into packed matrices that share one allocation. Private to the model room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "twistor/model/decoder.hpp"

namespace twistor::model {

[[nodiscard]] device::Norm read_norm(const device::Engine& engine, const NormSource& source,
                                     NormKind kind = NormKind::layer_norm, double eps = 0);

/// Views the tensor, which must outlive the table. One whose values will change is kept in float32.
[[nodiscard]] device::Table read_table(const device::Engine& engine, const format::TensorInfo& tensor,
                                       bool is_changing = false);

using TensorSet = std::unordered_set<const format::TensorInfo*>;

/// Bytes of the allocation that a matrix takes.
[[nodiscard]] std::size_t packed_bytes(const device::Engine& engine, const MatrixSource& source,
                                       device::Precision precision, const TensorSet* changing = nullptr);

/// Calls f(part, row, n, to) for each part of a stack that has rows among [begin, end): those from `row` of
/// its stored matrix on, which come `to` rows after `begin`.
template <class F>
void for_each_piece(const MatrixSource& source, std::int64_t begin, std::int64_t end, const F& f) {
  std::int64_t part_begin = 0;
  for (const MatrixSource::Part& part : source.parts) {
    const std::int64_t part_end = part_begin + part.rows();
    const std::int64_t from = std::max(begin, part_begin), n = std::min(end, part_end) - from;
    if (n > 0) f(part, part.row_begin + from - part_begin, n, from - begin);
    part_begin = part_end;
  }
}

/// 64-byte aligned memory for packed weights: options.memory's, or else `own`, which is resized; none for 0
/// bytes.
[[nodiscard]] std::byte* weight_memory(const LoadOptions& options, std::size_t bytes,
                                       std::vector<std::byte>& own);

/// Hands out pieces of one allocation and fills them on the rank that writes; without memory the engine keeps
/// every matrix by itself.
class WeightPacker {
 public:
  /// Rows of a stack that are collected and packed together, since panels may straddle parts.
  static constexpr std::int64_t slice_rows = 32 * device::PackedMatrix::panel_columns;

  /// Matrices with a part among `changing` are not kept as codes.
  WeightPacker(std::byte* memory, const LoadOptions& options, const TensorSet* changing = nullptr)
      : engine_(options.used_engine()),
        next_(memory),
        precision_(options.precision),
        changing_(changing),
        is_writer_(options.memory.is_writer || memory == nullptr) {}

  [[nodiscard]] device::Weight matrix(const MatrixSource& source);
  /// With the parts' biases.
  [[nodiscard]] device::Linear linear(const MatrixSource& source);

 private:
  void pack_stacked(device::Weight& matrix, device::PanelLayout layout, const MatrixSource& source);

  std::shared_ptr<const device::Engine> engine_;
  std::byte* next_;
  device::Precision precision_;
  const TensorSet* changing_;
  bool is_writer_;
};

}  // namespace twistor::model
