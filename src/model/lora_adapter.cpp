// SPDX-License-Identifier: Apache-2.0
// PEFT's adapter folders.
#include "twistor/model/lora_adapter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/safetensors_writer.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::model {
namespace {

constexpr std::string_view wrapper = "base_model.model.";  // PEFT's, around all names

void require_hugging_face(const AdapterBase& base, const std::string& doing) {
  TWISTOR_CHECK(
      !base.is_gguf, ErrorKind::config, doing,
      fmt::format("{} is a GGUF file, whose matrices have other names and another order of rows", base.model),
      "give model.path the model's folder in Hugging Face's layout");
}

bool is_empty(const format::JsonView& value, const nlohmann::json& raw) {
  return value.is_array() || value.is_object() ? raw.empty() : false;
}

/// Refuses what would change the outputs and is not done here.
void refuse_other_kinds(const format::JsonView& config) {
  const auto type = config.at("peft_type");
  if (type.string() != "LORA")
    type.fail("the adapter is of the kind " + format::quote(type.string()), "LORA is supported");
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "use_bdlora"})
    if (const auto found = config.find(key); found && found->boolean())
      found->fail("adapters with it are not supported", "make the adapter without it");
  if (const auto bias = config.find("bias"); bias && bias->string() != "none")
    bias->fail("biases that an adapter changes are not supported", "make the adapter with bias = none");
  for (const char* key : {"modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication",
                          "target_parameters", "trainable_token_indices", "alora_invocation_tokens"})
    if (const auto found = config.find(key); found && !is_empty(*found, config.object()[key]))
      found->fail("adapters with it are not supported", "make the adapter without it");
}

/// Rank and scale must be those of the body.
void check_config(const format::JsonView& config, const LoraOptions& options, const std::string& doing) {
  refuse_other_kinds(config);
  const std::int64_t rank = config.at("r").integer(1);
  double alpha = config.at("lora_alpha").number();
  if (const auto root = config.find("use_rslora"); root && root->boolean())
    alpha *= std::sqrt(static_cast<double>(rank));  // its scale is alpha / sqrt(rank)
  TWISTOR_CHECK(rank == options.rank && std::abs(alpha - options.alpha) <= 1e-9 * options.alpha,
                ErrorKind::config, doing,
                fmt::format("its rank is {} and its alpha {}, this run's are {} and {}", rank, alpha,
                            options.rank, options.alpha),
                fmt::format("set twist.lora_rank = {} and twist.lora_alpha = {}", rank, alpha));
}

/// Whether the file's name of a tensor is that of ours, whose root may be missing.
bool is_name_of(std::string_view theirs, const std::string& ours) {
  return theirs.starts_with(wrapper) &&
         (theirs.substr(wrapper.size()) == ours || theirs.ends_with("." + ours));
}

/// As the configuration has them, in order: a list, or one expression that PEFT takes as a pattern.
std::string targets_of(const format::JsonView& config) {
  const format::JsonView targets = config.at("target_modules");
  if (!targets.is_array()) return targets.string();
  std::set<std::string> names;
  for (std::size_t i = 0; i < targets.array_size(); ++i) names.insert(targets.item(i).string());
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The matrices that the adapter has must be those of the body.
void check_matrices(const std::vector<format::TensorInfo>& theirs, const std::vector<LearnedTensor>& ours,
                    const std::string& targets, const std::string& doing) {
  const auto has = [&](const format::TensorInfo& t) {
    return std::ranges::any_of(ours, [&](const LearnedTensor& o) { return is_name_of(t.name, o.name); });
  };
  const std::string hint = fmt::format("set twist.lora_targets = {}", targets);
  for (const format::TensorInfo& t : theirs)
    TWISTOR_CHECK(has(t), ErrorKind::config, doing,
                  fmt::format("it has {}, and this run's body has no such addition", t.name), hint);
  for (const LearnedTensor& o : ours)
    TWISTOR_CHECK(std::ranges::any_of(theirs, [&](const auto& t) { return is_name_of(t.name, o.name); }),
                  ErrorKind::config, doing, fmt::format("it lacks {}{}", wrapper, o.name), hint);
}

}  // namespace

std::vector<LearnedTensor> read_lora_adapter(const std::filesystem::path& folder,
                                             const TrainableDecoder& body) {
  const std::string doing = "reading the adapter " + folder.string();
  TWISTOR_CHECK(body.lora() != nullptr, ErrorKind::config, doing, "this run's body has no low-rank additions",
                "set twist.body = lora");
  require_hugging_face(body.adapter_base(), doing);
  const std::filesystem::path weights = folder / "adapter_model.safetensors";
  TWISTOR_CHECK(
      std::filesystem::exists(weights), ErrorKind::no_input, doing,
      "there is no adapter_model.safetensors in it",
      "twist.adapter is a folder that PEFT's save_pretrained() wrote; pickled files (.bin) are not read");
  const format::JsonFile config(folder / "adapter_config.json");
  check_config(config.view(), *body.lora(), doing);
  const MappedFile file(weights);
  const std::vector<format::TensorInfo> theirs = format::parse_safetensors(file.bytes(), weights.string());
  std::vector<LearnedTensor> ours = body.tensors();
  check_matrices(theirs, ours, targets_of(config.view()), doing);
  for (LearnedTensor& o : ours) {
    const format::TensorInfo& t =
        *std::ranges::find_if(theirs, [&](const auto& info) { return is_name_of(info.name, o.name); });
    TWISTOR_CHECK(t.shape == o.shape, ErrorKind::config, doing,
                  fmt::format("{} has the shape {}, expected {}", t.name, t.shape, o.shape),
                  "the adapter belongs to another model");
    format::read_rows_f32(t, 0, t.shape[0], o.value);
  }
  return ours;
}

AdapterFiles lora_adapter_files(const TrainableDecoder& body,
                                std::span<const std::span<const float>> values) {
  const AdapterBase base = body.adapter_base();
  require_hugging_face(base, "writing the adapter");
  TWISTOR_ASSERT(body.lora() != nullptr, "an adapter is written of low-rank additions");
  const LoraOptions& options = *body.lora();
  nlohmann::ordered_json config{
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base.model},
      {"r", options.rank},
      {"lora_alpha", options.alpha},
      {"target_modules", options.targets.empty() ? body.targets() : options.targets},
      {"fan_in_fan_out", base.is_transposed},
      {"bias", "none"},
      {"lora_dropout", 0.0},
      {"init_lora_weights", true},
      {"inference_mode", true}};
  const std::vector<LearnedTensor> tensors = body.tensors();
  std::vector<format::TensorValues> out;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string root = tensors[i].name.starts_with(base.root) ? "" : base.root;
    out.push_back({{fmt::format("{}{}{}", wrapper, root, tensors[i].name), tensors[i].shape}, values[i]});
  }
  return {config.dump(2) + "\n", format::safetensors_bytes(out, {{"format", "pt"}})};
}

}  // namespace twistor::model
