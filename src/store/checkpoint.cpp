// Checkpoints as archives.
#include "twistor/store/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <sstream>
#include <string_view>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::store {
namespace {

constexpr const char* kind = "checkpoint";
constexpr std::string_view number_prefix = "number.", counter_prefix = "counter.";

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

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& c, const WriteOptions& options) {
  ArchiveView view;
  view.datasets.emplace("config", view_of(c.config_text));
  add_arrays(view, "parameters", c.parameters);
  add_arrays(view, "adam_m", c.adam_m);
  add_arrays(view, "adam_v", c.adam_v);
  view.attributes = {{"model_fingerprint", c.model_fingerprint},
                     {"twist_form", c.twist_form},
                     {"update", c.update},
                     {"seed", std::bit_cast<std::int64_t>(c.seed)},
                     {"adam_step", c.adam_step},
                     {"exact_samples_path", c.exact_samples_path},
                     {"target_identity", c.target_identity}};
  for (const auto& [name, value] : c.numbers)
    view.attributes.emplace(std::string(number_prefix) + name, value);
  for (const auto& [name, value] : c.counters)
    view.attributes.emplace(std::string(counter_prefix) + name, value);
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
  for (const auto& [name, value] : archive.attributes) {
    const auto* number = std::get_if<double>(&value);
    const auto* counter = std::get_if<std::int64_t>(&value);
    if (number != nullptr && name.starts_with(number_prefix)) {
      c.numbers.emplace(name.substr(number_prefix.size()), *number);
    } else if (counter != nullptr && name.starts_with(counter_prefix)) {
      c.counters.emplace(name.substr(counter_prefix.size()), *counter);
    }
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

std::string config_value(const std::string& config_text, const std::string& key) {
  std::istringstream lines(config_text);
  std::string line, section, value = "(not set)";
  while (std::getline(lines, line)) {
    const std::string_view text = trimmed(std::string_view(line).substr(0, line.find('#')));
    if (text.starts_with('[') && text.ends_with(']')) {
      section = std::string(trimmed(text.substr(1, text.size() - 2))) + ".";
    } else if (const auto equals = text.find('='); equals != std::string_view::npos) {
      if (section + std::string(trimmed(text.substr(0, equals))) == key)
        value = trimmed(text.substr(equals + 1));
    }
  }
  return value;
}

void require_compatible(const Checkpoint& checkpoint, const Expectation& expected) {
  std::string differences;
  const auto compare = [&](std::string_view what, const std::string& stored, const std::string& wanted) {
    if (stored == wanted) return;
    differences += fmt::format("{}{} is '{}' in the checkpoint and '{}' in this run",
                               differences.empty() ? "" : "; ", what, stored, wanted);
  };
  compare("the language model's fingerprint", checkpoint.model_fingerprint, expected.model_fingerprint);
  compare("twist.form", checkpoint.twist_form, expected.twist_form);
  compare("the target", checkpoint.target_identity, expected.target_identity);
  for (const std::string& key : expected.config_keys) {
    compare(key, config_value(checkpoint.config_text, key), config_value(expected.config_text, key));
  }
  TWISTOR_CHECK(differences.empty(), ErrorKind::config, "resuming from a checkpoint", differences,
                "set these back, or choose another run.output to start anew");
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
