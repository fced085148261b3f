// SPDX-License-Identifier: Apache-2.0
// The state of learning in checkpoints.
#include "twistor/learn/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

using store::Checkpoint;

/// Values of an array from which on the ranks of a node share it.
constexpr std::size_t least_shared = std::size_t{1} << 10;

/// The parts of the state and where a checkpoint has them.
constexpr std::pair<std::string_view, std::int64_t Checkpoint::*> counts[] = {
    {"update", &Checkpoint::update},
    {"adam_step", &Checkpoint::adam_step},
    {"samples", &Checkpoint::samples},
    {"milliseconds", &Checkpoint::milliseconds}};
constexpr std::pair<std::string_view, std::string Checkpoint::*> texts[] = {
    {"objective", &Checkpoint::objective}, {"link", &Checkpoint::link}};
constexpr std::pair<std::string_view, std::vector<std::int64_t> Checkpoint::*> id_lists[] = {
    {"pinned", &Checkpoint::pinned},
    {"round_tokens", &Checkpoint::round_tokens},
    {"holdout_tokens", &Checkpoint::holdout_tokens}};
constexpr std::pair<std::string_view, std::vector<double> Checkpoint::*> number_lists[] = {
    {"round_log_w", &Checkpoint::round_log_w},
    {"round_log_phi", &Checkpoint::round_log_phi},
    {"holdout_log_w", &Checkpoint::holdout_log_w},
    {"holdout_scores", &Checkpoint::holdout_scores}};
constexpr std::pair<std::string_view, store::NamedArrays Checkpoint::*> folders[] = {
    {"parameters", &Checkpoint::parameters},
    {"holdout_best", &Checkpoint::holdout_best},
    {"adam_m", &Checkpoint::adam_m},
    {"adam_v", &Checkpoint::adam_v}};

template <class Table>
auto member(const Table& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, [](const auto& row) { return row.first; });
  TWISTOR_ASSERT(found != std::end(table), "a checkpoint has a place for every part of the state");
  return found->second;
}

/// Saves into a Checkpoint, restores from a const one, of which `large` has the values of large arrays.
template <class Stored>
class CheckpointVisitor final : public StateVisitor {
 public:
  explicit CheckpointVisitor(Stored& stored, const LargeArrays* large = nullptr)
      : stored_(stored), large_(large) {}
  bool is_restoring() const override { return std::is_const_v<Stored>; }
  void count(std::string_view name, std::int64_t& value) override {
    pass(stored_.*member(counts, name), value);
  }
  void text(std::string_view name, std::string& value) override { pass(stored_.*member(texts, name), value); }
  void ids(std::string_view name, std::vector<std::int64_t>& value) override {
    pass(stored_.*member(id_lists, name), value);
  }
  void numbers(std::string_view name, std::vector<double>& value) override {
    pass(stored_.*member(number_lists, name), value);
  }
  void save(std::string_view folder, const twist::Parameter& p, std::span<const float> values) override {
    if constexpr (!std::is_const_v<Stored>)
      (stored_.*member(folders, folder))[p.name] = {p.shape, {values.begin(), values.end()}};
  }
  std::span<const float> saved(std::string_view folder, const twist::Parameter& p) const override {
    const store::NamedArrays& arrays = stored_.*member(folders, folder);
    const auto found = arrays.find(p.name);
    TWISTOR_CHECK(found != arrays.end() && found->second.shape == p.shape, ErrorKind::data,
                  "reading the twist from the checkpoint",
                  fmt::format("{}/{} is missing or has another shape", folder, p.name),
                  "the checkpoint belongs to another twist.form or model");
    if (large_ == nullptr) return found->second.values;
    const auto elsewhere = large_->values.find(fmt::format("{}/{}", folder, p.name));
    return elsewhere == large_->values.end() ? found->second.values : elsewhere->second;
  }

 private:
  template <class T>
  static void pass(T& stored, std::remove_const_t<T>& value) {
    if constexpr (std::is_const_v<T>) {
      value = stored;
    } else {
      stored = value;
    }
  }
  Stored& stored_;
  const LargeArrays* large_;
};

/// Looks at nothing: where a rank saves only by handing over its part.
class BlindVisitor final : public StateVisitor {
 public:
  bool is_restoring() const override { return false; }
  void count(std::string_view, std::int64_t&) override {}
  void text(std::string_view, std::string&) override {}
  void ids(std::string_view, std::vector<std::int64_t>&) override {}
  void numbers(std::string_view, std::vector<double>&) override {}
  void save(std::string_view, const twist::Parameter&, std::span<const float>) override {}
  std::span<const float> saved(std::string_view, const twist::Parameter&) const override { return {}; }
};

}  // namespace

LoadedCheckpoint load_checkpoint(const std::filesystem::path& file, const comm::Communicator& world) {
  store::Archive archive;
  if (world.rank() == 0) archive = store::load_latest(file, "checkpoint");
  LoadedCheckpoint out;
  if (world.size() > 1) out.large = broadcast_archive(archive, least_shared, world);
  out.state = store::checkpoint_from(std::move(archive));
  return out;
}

bool is_on_disk(const std::filesystem::path& file, const comm::Communicator& world) {
  return comm::broadcast_value(
      std::filesystem::exists(file) || std::filesystem::exists(previous_generation(file)), world);
}

void save(Trainer& trainer, store::Checkpoint& checkpoint) {
  CheckpointVisitor whole(checkpoint);
  BlindVisitor part;
  trainer.visit_state(trainer.world().rank() == 0 ? static_cast<StateVisitor&>(whole) : part);
}

void restore(Trainer& trainer, const LoadedCheckpoint& checkpoint) {
  CheckpointVisitor visitor(checkpoint.state, &checkpoint.large);
  trainer.visit_state(visitor);
}

void restore(twist::Trainable& twist, const LoadedCheckpoint& checkpoint) {
  CheckpointVisitor visitor(checkpoint.state, &checkpoint.large);
  visit_twist(twist, visitor);
}

void start_from(const std::filesystem::path& file, const std::string& model_fingerprint,
                twist::Trainable& twist, const comm::Communicator& world) {
  const LoadedCheckpoint loaded = load_checkpoint(file, world);
  const store::Checkpoint& checkpoint = loaded.state;
  const std::string doing = "starting from " + file.string(),
                    hint = "name a checkpoint of this model and twist.form";
  TWISTOR_CHECK(checkpoint.model_fingerprint == model_fingerprint, ErrorKind::config, doing,
                "its language model is not that of model.path, model.dtype and model.padded_tokens", hint);
  TWISTOR_CHECK(
      checkpoint.twist_form == twist.form(), ErrorKind::config, doing,
      fmt::format("twist.form is '{}' there and '{}' in this run", checkpoint.twist_form, twist.form()),
      hint);
  restore(twist, loaded);
}

}  // namespace twistor::learn
