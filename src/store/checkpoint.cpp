// SPDX-License-Identifier: Apache-2.0
// Checkpoints as archives.
#include "twistor/store/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <deque>
#include <string_view>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::store {
namespace {

constexpr const char* kind = "checkpoint";

/// Every part of the file beside its member: the one list for writing and for reading. The last argument is
/// what files stand for that are older than the part.
template <class Checkpoint, class Visitor>
void visit(Checkpoint& c, Visitor& v) {
  v.text("config", c.config_text);
  v.ids("prompt", c.prompt);
  v.ids("pinned", c.pinned);
  v.ids("round_tokens", c.round_tokens);
  v.reals("round_log_w", c.round_log_w);
  v.reals("round_log_phi", c.round_log_phi);
  v.ids("holdout_tokens", c.holdout_tokens);
  v.reals("holdout_log_w", c.holdout_log_w);
  v.reals("holdout_scores", c.holdout_scores);
  v.arrays("parameters", c.parameters);
  v.arrays("holdout_best", c.holdout_best);
  v.arrays("adam_m", c.adam_m);
  v.arrays("adam_v", c.adam_v);
  v.attribute("model_fingerprint", c.model_fingerprint);
  v.attribute("twist_form", c.twist_form);
  v.attribute("link", c.link, "identity");
  v.attribute("objective", c.objective, "ctl");
  v.attribute("update", c.update);
  v.attribute("seed", c.seed);
  v.attribute("adam_step", c.adam_step);
  v.attribute("samples", c.samples, 0);
  v.attribute("milliseconds", c.milliseconds, 0);
  v.attribute("exact_samples_path", c.exact_samples_path);
  v.attribute("learned_samples", c.learned_samples, "");
  v.attribute("target_identity", c.target_identity, "");
  v.numbers("number.", c.numbers);
}

/// Looks at everything and copies nothing but token ids and the weights of a round. Must not outlive the
/// checkpoint.
class Writer {
 public:
  [[nodiscard]] const ArchiveView& view() const { return view_; }

  void text(const char* name, const std::string& value) { view_.datasets.emplace(name, view_of(value)); }
  void ids(const char* name, const std::vector<std::int64_t>& value) {
    if (value.empty()) return;  // as readers take a part that is missing
    view_.datasets.emplace(name, view_of(ids_.emplace_back(Array<std::int64_t>::flat(value))));
  }
  void reals(const char* name, const std::vector<double>& value) {
    if (value.empty()) return;
    view_.datasets.emplace(name, view_of(reals_.emplace_back(Array<double>::flat(value))));
  }
  void arrays(const std::string& folder, const NamedArrays& arrays) {
    for (const auto& [name, array] : arrays) view_.datasets.emplace(folder + "/" + name, view_of(array));
  }
  template <class T>
  void attribute(const char* name, const T& value) {
    view_.attributes.emplace(name, value);
  }
  template <class T, class Older>
  void attribute(const char* name, const T& value, const Older&) {
    view_.attributes.emplace(name, value);
  }
  void attribute(const char* name, std::uint64_t value) {
    view_.attributes.emplace(name, std::bit_cast<std::int64_t>(value));
  }
  void numbers(const std::string& prefix, const std::map<std::string, double>& numbers) {
    for (const auto& [name, value] : numbers) view_.attributes.emplace(prefix + name, value);
  }

 private:
  ArchiveView view_;
  std::deque<Array<std::int64_t>> ids_;
  std::deque<Array<double>> reals_;
};

/// Takes the arrays out of the archive.
class Reader {
 public:
  explicit Reader(Archive& archive) : archive_(archive) {}

  void text(const char* name, std::string& value) const { value = archive_.dataset<std::string>(name); }
  void ids(const char* name, std::vector<std::int64_t>& value) const {
    if (archive_.datasets.contains(name)) value = archive_.dataset<Array<std::int64_t>>(name).values;
  }
  void reals(const char* name, std::vector<double>& value) const {
    if (archive_.datasets.contains(name)) value = archive_.dataset<Array<double>>(name).values;
  }
  void arrays(const std::string& folder, NamedArrays& arrays) {
    const std::string prefix = folder + "/";
    for (auto it = archive_.datasets.lower_bound(prefix);
         it != archive_.datasets.end() && it->first.starts_with(prefix); ++it) {
      auto* array = std::get_if<Array<float>>(&it->second);
      TWISTOR_CHECK(array != nullptr, ErrorKind::data, "reading " + archive_.origin,
                    fmt::format("dataset '{}' is not of type f32", it->first),
                    "the file was written by another program or another version of twistor");
      arrays.emplace(it->first.substr(prefix.size()), std::move(*array));
    }
  }
  template <class T>
  void attribute(const char* name, T& value) const {
    value = archive_.attribute<T>(name);
  }
  template <class T, class Older>
  void attribute(const char* name, T& value, const Older& older) const {
    value = archive_.attributes.contains(name) ? archive_.attribute<T>(name) : T{older};
  }
  void attribute(const char* name, std::uint64_t& value) const {
    value = std::bit_cast<std::uint64_t>(archive_.attribute<std::int64_t>(name));
  }
  void numbers(std::string_view prefix, std::map<std::string, double>& numbers) const {
    for (const auto& [name, value] : archive_.attributes) {
      const auto* number = std::get_if<double>(&value);
      if (number != nullptr && name.starts_with(prefix)) numbers.emplace(name.substr(prefix.size()), *number);
    }
  }

 private:
  Archive& archive_;
};

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
  Writer writer;
  visit(c, writer);
  write_archive(path, writer.view(), kind, options);
}

Checkpoint checkpoint_from(Archive archive) {
  Checkpoint c;
  Reader reader(archive);
  visit(c, reader);
  TWISTOR_CHECK(
      c.update >= 0 && c.adam_step >= 0, ErrorKind::data, "reading " + archive.origin,
      fmt::format("expected counts of updates, got update {} and adam_step {}", c.update, c.adam_step));
  check_moments(c, c.adam_m, "adam_m", archive.origin);
  check_moments(c, c.adam_v, "adam_v", archive.origin);
  check_moments(c, c.holdout_best, "holdout_best", archive.origin);
  const std::size_t n = c.round_log_w.size();
  TWISTOR_CHECK(c.round_log_phi.size() == n && c.round_tokens.size() % std::max<std::size_t>(n, 1) == 0,
                ErrorKind::data, "reading " + archive.origin,
                fmt::format("round_tokens, round_log_w and round_log_phi have {}, {} and {} values",
                            c.round_tokens.size(), n, c.round_log_phi.size()),
                "start from another checkpoint");
  TWISTOR_CHECK(c.holdout_tokens.size() % std::max<std::size_t>(c.holdout_log_w.size(), 1) == 0,
                ErrorKind::data, "reading " + archive.origin,
                fmt::format("holdout_tokens and holdout_log_w have {} and {} values", c.holdout_tokens.size(),
                            c.holdout_log_w.size()),
                "start from another checkpoint");
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

std::string size_notice(const Checkpoint& checkpoint) {
  std::size_t bytes = 0;
  for (const auto* arrays :
       {&checkpoint.parameters, &checkpoint.adam_m, &checkpoint.adam_v, &checkpoint.holdout_best})
    for (const auto& [name, array] : *arrays) bytes += array.values.size() * sizeof(float);
  if (bytes <= 100'000'000) return {};
  return fmt::format("a checkpoint of this twist takes {:.0f} MB on disk, and the one before it is kept too",
                     static_cast<double>(bytes) / 1e6);
}

}  // namespace twistor::store
