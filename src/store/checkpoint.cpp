// Checkpoints as archives.
#include "twistor/store/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <string_view>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::store {
namespace {

constexpr const char* kind = "checkpoint";
constexpr std::string_view number_prefix = "number.";
constexpr const char* first_objective = "ctl";  // of files from before there was a choice

void add_arrays(ArchiveView& view, const std::string& folder, const NamedArrays& arrays) {
  for (const auto& [name, array] : arrays) view.datasets.emplace(folder + "/" + name, view_of(array));
}

NamedArrays take_arrays(Archive& archive, const std::string& folder) {
  NamedArrays arrays;
  const std::string prefix = folder + "/";
  for (auto it = archive.datasets.lower_bound(prefix);
       it != archive.datasets.end() && it->first.starts_with(prefix); ++it) {
    auto* array = std::get_if<Array<float>>(&it->second);
    TWISTOR_CHECK(array != nullptr, ErrorKind::data, "reading " + archive.origin,
                  fmt::format("dataset '{}' is not of type f32", it->first),
                  "the file was written by another program or another version of twistor");
    arrays.emplace(it->first.substr(prefix.size()), std::move(*array));
  }
  return arrays;
}

/// Moments belong to parameters one to one; a run that lost some would go on wrongly without anybody
/// noticing.
void check_moments(const Checkpoint& c, const NamedArrays& moments, const char* name,
                   const std::string& origin) {
  if (moments.empty()) return;
  bool same = moments.size() == c.parameters.size();
  for (const auto& [parameter, array] : c.parameters) {
    const auto found = moments.find(parameter);
    same = same && found != moments.end() && found->second.shape == array.shape;
  }
  TWISTOR_CHECK(same, ErrorKind::data, "reading " + origin,
                fmt::format("{} and parameters differ in names or shapes", name),
                "start from another checkpoint");
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& c, const WriteOptions& options) {
  ArchiveView view;
  const auto prompt = Array<std::int64_t>::flat(c.prompt);
  view.datasets.emplace("config", view_of(c.config_text));
  view.datasets.emplace("prompt", view_of(prompt));
  add_arrays(view, "parameters", c.parameters);
  add_arrays(view, "adam_m", c.adam_m);
  add_arrays(view, "adam_v", c.adam_v);
  view.attributes = {{"model_fingerprint", c.model_fingerprint},
                     {"twist_form", c.twist_form},
                     {"objective", c.objective},
                     {"update", c.update},
                     {"seed", std::bit_cast<std::int64_t>(c.seed)},
                     {"adam_step", c.adam_step},
                     {"exact_samples_path", c.exact_samples_path},
                     {"target_identity", c.target_identity}};
  for (const auto& [name, value] : c.numbers)
    view.attributes.emplace(std::string(number_prefix) + name, value);
  write_archive(path, view, kind, options);
}

Checkpoint checkpoint_from(Archive archive) {
  Checkpoint c;
  c.config_text = archive.dataset<std::string>("config");
  c.model_fingerprint = archive.attribute<std::string>("model_fingerprint");
  c.twist_form = archive.attribute<std::string>("twist_form");
  c.update = archive.attribute<std::int64_t>("update");
  c.seed = std::bit_cast<std::uint64_t>(archive.attribute<std::int64_t>("seed"));
  c.adam_step = archive.attribute<std::int64_t>("adam_step");
  c.exact_samples_path = archive.attribute<std::string>("exact_samples_path");
  if (archive.attributes.contains("target_identity"))
    c.target_identity = archive.attribute<std::string>("target_identity");
  c.objective = archive.attributes.contains("objective") ? archive.attribute<std::string>("objective")
                                                         : first_objective;
  if (archive.datasets.contains("prompt")) c.prompt = archive.dataset<Array<std::int64_t>>("prompt").values;
  for (const auto& [name, value] : archive.attributes) {
    const auto* number = std::get_if<double>(&value);
    if (number != nullptr && name.starts_with(number_prefix))
      c.numbers.emplace(name.substr(number_prefix.size()), *number);
  }
  c.parameters = take_arrays(archive, "parameters");
  c.adam_m = take_arrays(archive, "adam_m");
  c.adam_v = take_arrays(archive, "adam_v");
  TWISTOR_CHECK(
      c.update >= 0 && c.adam_step >= 0, ErrorKind::data, "reading " + archive.origin,
      fmt::format("expected counts of updates, got update {} and adam_step {}", c.update, c.adam_step));
  check_moments(c, c.adam_m, "adam_m", archive.origin);
  check_moments(c, c.adam_v, "adam_v", archive.origin);
  return c;
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  return checkpoint_from(load_latest(path, kind));
}

std::string parameters_sha256(const Checkpoint& checkpoint) {
  Sha256 hash;
  for (const auto& [name, array] : checkpoint.parameters) {
    hash.add(fmt::format("{}:{} ({})\n", name.size(), name, fmt::join(array.shape, ",")));
    hash.add(std::as_bytes(std::span(array.values)));
  }
  return hash.finish_hex();
}

}  // namespace twistor::store
