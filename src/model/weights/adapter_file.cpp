// SPDX-License-Identifier: Apache-2.0
// Reading PEFT folders, and adding what is in them to a decoder's matrices.
#include "adapter_file.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "body_tensors.hpp"
#include "hugging_face_layout.hpp"
#include "one_thread.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/weight_file.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::model {
namespace {

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

std::string targets_of(const format::JsonView& config) {
  const format::JsonView targets = config.at("target_modules");
  if (!targets.is_array()) return targets.string();
  std::set<std::string> names;
  for (std::size_t i = 0; i < targets.array_size(); ++i) names.insert(targets.item(i).string());
  return fmt::format("{}", fmt::join(names, ", "));
}

/// W += scale B A, or its transpose.
void add_low_rank(std::vector<float>& values, const format::TensorInfo& matrix, std::vector<float> of_a,
                  std::vector<float> of_b, const AdapterFile& adapter, bool is_transposed) {
  const OneThread same_bits;
  at::Tensor w = at::from_blob(values.data(), matrix.shape, at::kFloat);
  const auto r = adapter.rank, k = static_cast<std::int64_t>(of_a.size()) / r,
             n = static_cast<std::int64_t>(of_b.size()) / r;
  const at::Tensor A = at::from_blob(of_a.data(), {r, k}, at::kFloat),
                   B = at::from_blob(of_b.data(), {n, r}, at::kFloat);
  const auto scale = static_cast<float>(adapter.alpha / static_cast<double>(adapter.rank));
  if (is_transposed)
    w.addmm_(A.t(), B.t(), 1, scale);
  else
    w.addmm_(B, A, 1, scale);
}

}  // namespace

bool is_name_of(std::string_view theirs, const std::string& ours) {
  return theirs.starts_with(adapter_prefix) &&
         (theirs.substr(adapter_prefix.size()) == ours || theirs.ends_with("." + ours));
}

const format::TensorInfo* AdapterFile::find(const std::string& ours) const {
  const auto found = std::ranges::find_if(
      tensors, [&](const format::TensorInfo& tensor) { return is_name_of(tensor.name, ours); });
  return found == tensors.end() ? nullptr : &*found;
}

AdapterFile open_adapter(const std::filesystem::path& folder) {
  const std::filesystem::path weights = folder / "adapter_model.safetensors";
  TWISTOR_CHECK(
      std::filesystem::exists(weights), ErrorKind::no_input, "reading the adapter " + folder.string(),
      "there is no adapter_model.safetensors in it",
      "an adapter is a folder that PEFT's save_pretrained() wrote; pickled files (.bin) are not read");
  const format::JsonFile config(folder / "adapter_config.json");
  refuse_other_kinds(config.view());
  AdapterFile out;
  out.rank = config.view().at("r").integer(1);
  out.alpha = config.view().at("lora_alpha").number();
  if (const auto root = config.view().find("use_rslora"); root && root->boolean())
    out.alpha *= std::sqrt(static_cast<double>(out.rank));  // its scale is alpha / sqrt(rank)
  out.targets = targets_of(config.view());
  out.file = std::make_unique<MappedFile>(weights);
  out.tensors = format::parse_safetensors(out.file->bytes(), weights.string());
  return out;
}

MergedAdapter::MergedAdapter(DecoderSource& source, const std::filesystem::path& folder, bool has_values) {
  const std::string doing = "adding the adapter " + folder.string();
  const HuggingFaceLayout layout(source);
  layout.require(doing);
  const AdapterFile adapter = open_adapter(folder);
  const std::string another = "the adapter belongs to another model";
  std::set<const format::TensorInfo*> used;
  std::map<const format::TensorInfo*, const format::TensorInfo*> merged;  // by the file's own
  for_each_tensor(source, [&](const format::TensorInfo*& tensor, TensorRole role) {
    if (role != TensorRole::matrix && role != TensorRole::transposed_matrix) return;
    const std::string name = layout.name_of(module_name(*tensor));
    const format::TensorInfo *const a = adapter.find(name + ".lora_A.weight"), *const b = adapter.find(
                                                                                   name + ".lora_B.weight");
    if (a == nullptr && b == nullptr) return;
    TWISTOR_CHECK(a != nullptr && b != nullptr, ErrorKind::data, doing,
                  fmt::format("of the two factors for {} one is missing", name), "the file is incomplete");
    const bool is_transposed = role == TensorRole::transposed_matrix;
    const std::int64_t k = tensor->shape[is_transposed ? 0 : 1], n = tensor->shape[is_transposed ? 1 : 0];
    const std::vector<std::int64_t> shape_a{adapter.rank, k}, shape_b{n, adapter.rank};
    TWISTOR_CHECK(a->shape == shape_a && b->shape == shape_b, ErrorKind::data, doing,
                  fmt::format("the factors for {} have the shapes {} and {}, expected {} and {}", name,
                              a->shape, b->shape, shape_a, shape_b),
                  another);
    used.insert({a, b});
    const auto [place, is_new] = merged.try_emplace(tensor);
    if (is_new) {
      tensors_.push_back(std::make_unique<format::TensorInfo>(*tensor));
      place->second = tensors_.back().get();
      if (has_values) {
        values_.push_back(std::make_unique<std::vector<float>>(format::read_f32(*tensor)));
        std::vector<float>& values = *values_.back();
        add_low_rank(values, *tensor, format::read_f32(*a),
                     layout.rows_from_folder(tensor->name, format::read_f32(*b)), adapter, is_transposed);
        tensors_.back()->type = format::StoredType::f32;
        tensors_.back()->bytes = std::as_bytes(std::span(values));
      }
    }
    tensor = place->second;
  });
  for (const format::TensorInfo& tensor : adapter.tensors)
    TWISTOR_CHECK(used.contains(&tensor), ErrorKind::data, doing,
                  fmt::format("it has {}, and the layers of {} have no such matrix", tensor.name,
                              source.file->path().string()),
                  another + ", or it changes embeddings, which is not supported");
  Sha256 digest;
  digest.add(source.fingerprint + " with the adapter ");
  digest.add(adapter.file->bytes());
  digest.add(fmt::format("{} {}", adapter.rank, adapter.alpha));
  source.fingerprint = digest.finish_hex();
}

}  // namespace twistor::model
