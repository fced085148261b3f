// SPDX-License-Identifier: Apache-2.0
// ATen's engine as a class, for those that do some of its operations otherwise. Private to the device room.
#pragma once

#include "twistor/device/engine.hpp"

namespace twistor::device {

class IdleBlocks;

class AtenEngine : public Engine {
 public:
  AtenEngine(at::Device device, std::int64_t score_rows);

  [[nodiscard]] std::string description() const override { return "aten on " + device_.str(); }
  [[nodiscard]] at::Device device() const override { return device_; }
  [[nodiscard]] bool keeps_bits() const override { return false; }
  [[nodiscard]] const VocabularyKernels* vocabulary() const override;
  [[nodiscard]] std::int64_t score_rows() const override { return score_rows_; }
  [[nodiscard]] std::int64_t rows_at_once() const override { return 16384; }

  [[nodiscard]] bool keeps_codes(Precision) const override { return false; }
  [[nodiscard]] std::size_t weight_bytes(std::int64_t, std::int64_t, PanelLayout) const override { return 0; }
  [[nodiscard]] Weight make_weight(std::int64_t n, std::int64_t k, PanelLayout layout,
                                   std::byte* memory) const override;
  void write_rows(Weight& weight, std::int64_t row_begin, std::span<const float> rows) const override;
  void write_transposed(Weight& weight, std::span<const float> columns) const override;
  [[nodiscard]] at::Tensor read_rows(const Weight& weight, std::span<const std::int64_t> rows) const override;
  [[nodiscard]] Table make_table(std::int64_t n, std::int64_t width, bool is_bfloat16,
                                 Table::Reader read) const override;
  [[nodiscard]] std::unique_ptr<KvStore> make_kv_store(const KvShape& shape) const override;

  void look_up(const Table& table, std::span<const std::int64_t> rows, at::Tensor& out,
               bool accumulate) const override;
  void normalise(const Norm& norm, const at::Tensor& x, at::Tensor& out) const override;
  void normalise_runs(const Norm& norm, at::Tensor& x, std::int64_t begin, std::int64_t end) const override;
  void project(const at::Tensor& x, const Linear& w, at::Tensor& y, bool accumulate) const override;
  void project_columns(const at::Tensor& x, const Linear& w, std::int64_t v_begin, std::int64_t v_end,
                       at::Tensor& y) const override;
  void activate(ActivationKind kind, bool is_gated, at::Tensor& x, at::Tensor& out) const override;
  void soft_cap(at::Tensor& x, std::int64_t width, float cap) const override;
  void add(at::Tensor& x, const at::Tensor& y, float scale) const override;
  [[nodiscard]] at::Tensor unit_rms(const at::Tensor& x) const override;
  [[nodiscard]] std::unique_ptr<AttentionPass> begin_attention(const AttentionShape& shape,
                                                               const KvRows& rows) const override;
  [[nodiscard]] std::unique_ptr<TextPass> begin_texts(std::span<const std::int64_t> begins) const override;
  [[nodiscard]] bool is_finite(const at::Tensor& x) const override;

  [[nodiscard]] at::Tensor product_at_b(const at::Tensor& a, const at::Tensor& b) const override;
  [[nodiscard]] at::Tensor column_sums(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor sum_by_group(const at::Tensor& x, std::span<const float> weight,
                                        std::span<const std::int64_t> group_of,
                                        std::int64_t n_groups) const override;
  void adam(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
            const at::Tensor& gradient, const AdamTensors& parameter) const override;

 private:
  void multiply_into(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias, at::Tensor& y,
                     bool accumulate) const;

  at::Device device_;
  std::int64_t score_rows_;
  std::shared_ptr<IdleBlocks> idle_;
};

}  // namespace twistor::device
