// SPDX-License-Identifier: Apache-2.0
// PEFT's adapter folders.
#include "twistor/model/lora_adapter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>
#include <string_view>

#include "adapter_file.hpp"
#include "hugging_face_layout.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/safetensors_writer.hpp"

namespace twistor::model {
namespace {

/// Rows of B are those of the matrix, and may lie in another order; columns of A do not.
bool has_rows_of_matrix(const std::string& name) {
  return name.ends_with(".lora_B.weight");
}

/// Rank and scale must be those of the body.
void check_rank(const AdapterFile& adapter, const LoraOptions& options, const std::string& doing) {
  TWISTOR_CHECK(
      adapter.rank == options.rank && std::abs(adapter.alpha - options.alpha) <= 1e-9 * options.alpha,
      ErrorKind::config, doing,
      fmt::format("its rank is {} and its alpha {}, this run's are {} and {}", adapter.rank, adapter.alpha,
                  options.rank, options.alpha),
      fmt::format("set twist.lora_rank = {} and twist.lora_alpha = {}", adapter.rank, adapter.alpha));
}

/// The matrices that the adapter has must be those of the body.
void check_matrices(const AdapterFile& adapter, const std::vector<LearnedTensor>& ours,
                    const HuggingFaceLayout& layout, const std::string& doing) {
  const auto has = [&](const format::TensorInfo& t) {
    return std::ranges::any_of(
        ours, [&](const LearnedTensor& o) { return is_name_of(t.name, layout.name_of(o.name)); });
  };
  const std::string hint = fmt::format("set twist.lora_targets = {}", adapter.targets);
  for (const format::TensorInfo& t : adapter.tensors)
    TWISTOR_CHECK(has(t), ErrorKind::config, doing,
                  fmt::format("it has {}, and this run's body has no such addition", t.name), hint);
  for (const LearnedTensor& o : ours)
    TWISTOR_CHECK(adapter.find(layout.name_of(o.name)) != nullptr, ErrorKind::config, doing,
                  fmt::format("it lacks {}{}", adapter_prefix, layout.name_of(o.name)), hint);
}

}  // namespace

std::vector<LearnedTensor> read_lora_adapter(const std::filesystem::path& folder,
                                             const TrainableDecoder& body) {
  const std::string doing = "reading the adapter " + folder.string();
  TWISTOR_CHECK(body.lora() != nullptr, ErrorKind::config, doing, "this run's body has no low-rank additions",
                "set twist.body = lora");
  const AdapterBase base = body.adapter_base();
  base.layout->require(doing);
  const AdapterFile adapter = open_adapter(folder);
  check_rank(adapter, *body.lora(), doing);
  std::vector<LearnedTensor> ours = body.tensors();
  check_matrices(adapter, ours, *base.layout, doing);
  for (LearnedTensor& o : ours) {
    const format::TensorInfo& t = *adapter.find(base.layout->name_of(o.name));
    TWISTOR_CHECK(t.shape == o.shape, ErrorKind::config, doing,
                  fmt::format("{} has the shape {}, expected {}", t.name, t.shape, o.shape),
                  "the adapter belongs to another model");
    format::read_rows_f32(t, 0, t.shape[0], o.value);
    if (has_rows_of_matrix(o.name)) o.value = base.layout->rows_from_folder(o.name, o.value);
  }
  return ours;
}

AdapterFiles lora_adapter_files(const TrainableDecoder& body,
                                std::span<const std::span<const float>> values) {
  const AdapterBase base = body.adapter_base();
  base.layout->require("writing the adapter");
  TWISTOR_ASSERT(body.lora() != nullptr, "an adapter is written of low-rank additions");
  const LoraOptions& options = *body.lora();
  std::vector<std::string> targets = options.targets.empty() ? body.targets() : options.targets;
  for (std::string& target : targets) target = base.layout->target_of(target);
  nlohmann::ordered_json config{{"peft_type", "LORA"},
                                {"task_type", "CAUSAL_LM"},
                                {"base_model_name_or_path", base.model},
                                {"r", options.rank},
                                {"lora_alpha", options.alpha},
                                {"target_modules", targets},
                                {"fan_in_fan_out", base.is_transposed},
                                {"bias", "none"},
                                {"lora_dropout", 0.0},
                                {"init_lora_weights", true},
                                {"inference_mode", true}};
  const std::vector<LearnedTensor> tensors = body.tensors();
  std::vector<format::TensorValues> out;
  std::deque<std::vector<float>> reordered;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string name = base.layout->name_of(tensors[i].name);
    const std::string root = name.starts_with(base.root) ? "" : base.root;
    std::span<const float> rows = values[i];
    if (has_rows_of_matrix(tensors[i].name))
      rows = reordered.emplace_back(base.layout->rows_for_folder(tensors[i].name, rows));
    out.push_back({{fmt::format("{}{}{}", adapter_prefix, root, name), tensors[i].shape}, rows});
  }
  return {config.dump(2) + "\n", format::safetensors_bytes(out, {{"format", "pt"}})};
}

}  // namespace twistor::model
