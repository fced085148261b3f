// SPDX-License-Identifier: Apache-2.0
// What every command on many ranks sets up first: ranks and groups, model, prompt, target, twist.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "twistor/base/folder_lock.hpp"
#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/comm/node_memory.hpp"
#include "twistor/exact/run_target.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/run/config.hpp"
#include "twistor/smc/computed_twist.hpp"
#include "twistor/smc/conditional.hpp"
#include "twistor/smc/memory.hpp"
#include "twistor/smc/policy.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/store/exact_samples.hpp"
#include "twistor/text/prompt_list.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/twist/load_body.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::run {

/// Lives as long as the command, and keeps others out of run.output meanwhile. Making one is *collective over
/// the world*; all ranks of a node share one copy of the model's weights. Throws what its parts throw.
class Session {
 public:
  Session(const Config& config, const std::filesystem::path& config_file);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const comm::Communicator& world() const { return world_; }
  [[nodiscard]] const comm::Groups& groups() const { return groups_; }
  /// What a rank has of a population, the most that one has.
  [[nodiscard]] smc::Share share() const;
  [[nodiscard]] bool is_root() const { return world_.rank() == 0; }
  /// p0.
  [[nodiscard]] const model::LanguageModel& lm() const { return *lm_; }
  [[nodiscard]] const text::Tokenizer* tokenizer() const { return tokenizer_.get(); }  ///< null: ids alone
  [[nodiscard]] const std::vector<std::int64_t>& prompt() const { return prompt_.ids; }
  /// The same with what the tokenizer put in front.
  [[nodiscard]] const text::Prompt& whole_prompt() const { return prompt_; }
  /// Those of prompt.file, of which prompt() is the first; else empty.
  [[nodiscard]] const std::vector<text::ListedPrompt>& prompts() const { return prompts_; }
  /// p0, and what the twist sees of it, for prompts as long as the first: see smc::PromptedProblem.
  [[nodiscard]] const std::shared_ptr<const model::LanguageModel>& shared_lm() const { return lm_; }
  [[nodiscard]] const std::shared_ptr<const model::LanguageModel>& twist_lm() const {
    return twist_lm_ != nullptr ? twist_lm_ : lm_;
  }
  [[nodiscard]] const potential::Potential& potential() const { return *target_.potential; }
  /// What the potential is, with a digest of all that defines it: different for different targets.
  [[nodiscard]] const std::string& potential_identity() const { return target_.identity; }
  /// What the twist sees: p0 with the prompt read, once for the whole command, and beside it the twist's
  /// body, if it has one.
  [[nodiscard]] smc::Problem problem() const;
  /// The same without a body.
  [[nodiscard]] smc::Problem base_problem() const { return {*lm_, prompt_.ids, potential(), start_}; }
  /// Those that the configuration gives, once load_policies() has read them. With smc.proposal = policy the
  /// first of them is what problem() and make_proposal() are for. *Collective over the world.*
  [[nodiscard]] const std::vector<smc::LoadedPolicy>& policies() const { return policies_; }
  void load_policies(const std::filesystem::path& config_file);
  /// What a policy sees: the base model's problem() with the policy beside it.
  [[nodiscard]] smc::Problem problem(const smc::LoadedPolicy& policy) const;

  /// The tokens of o where they were drawn jointly with an exact sample; else empty.
  [[nodiscard]] const std::vector<std::int64_t>& observation() const { return target_.observation; }
  /// The targets of all observations, where the twist sees them (twist.condition); else nullptr. problem() is
  /// then that of one: the one that the configuration names, or the first that is drawn.
  [[nodiscard]] const smc::ConditionalProblem* conditional() const { return conditional_.get(); }
  /// Draws them; nullptr where the configuration names one.
  [[nodiscard]] const exact::JointSampler* pairs() const { return target_.pairs.get(); }

  /// The twist's body; nullptr if its head reads the base model.
  [[nodiscard]] const model::TrainableDecoder* body() const { return body_.decoder.get(); }
  /// Who changes a twist: all ranks together, which then have its large arrays in common, or each by itself.
  enum class Changes { together, alone };
  /// A fresh twist for that objective: the same on every rank. Where sweeps under such twists may not be
  /// resampled, none is from now on. With a body there is one twist at a time. Throws Error(config) on an
  /// unknown name, or if smc.trigger wishes otherwise.
  [[nodiscard]] std::unique_ptr<twist::Trainable> make_twist(const std::string& objective,
                                                             Changes changes = Changes::together);
  /// Where the engine of its gradients lets them be added.
  [[nodiscard]] learn::GradientSums gradient_sums() const;
  /// For problem().
  [[nodiscard]] smc::Proposal make_proposal(const twist::Twist& twist) const;
  /// For base_problem().
  [[nodiscard]] smc::Proposal make_base_proposal(const twist::NoTwist& none) const;
  [[nodiscard]] smc::SweepOptions sweep_options() const;
  /// text::decode_any(); empty without a tokenizer.
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const;
  /// A file in run.output.
  [[nodiscard]] std::filesystem::path output(const std::string& name) const;

  /// Whether a signal came to any rank. *Calling it is collective over the world.*
  [[nodiscard]] Interrupt interrupt() const;
  /// After an interrupt, when all is saved: says so and throws Stopped. *Collective over the world.*
  [[noreturn]] void stop(const std::string& what_is_kept) const;
  /// stop() if a signal came. *Collective over the world.*
  void stop_if_interrupted(const std::string& what_is_kept) const;
  /// Both for work that runs for long: signals, and "BEFORE WHAT: K of N AFTER" on a progress line, which
  /// must outlive it.
  [[nodiscard]] Steering steering(report::ProgressLine& progress, const std::string& before = {},
                                  const std::string& after = {}) const;
  /// Of a progress line on rank 0, unless run.progress switches it off.
  [[nodiscard]] report::ProgressOptions progress() const;

  /// sigma, for exact samples.
  [[nodiscard]] exact::Target exact_target() const;
  /// How exact samples are made: exact.source, or what `auto` stands for here.
  [[nodiscard]] exact::Way exact_way() const { return exact_options(exact_target()).way; }
  /// Exact samples of sigma by the way of exact.source: from the file of an earlier run if it fits, else made
  /// now and saved. May be empty. *Collective over the world.* Throws Error(data) if phi is 0 everywhere,
  /// Stopped after a signal (a rejection then keeps what it has, for the next run).
  /// `check` sees them on every rank before they are saved, and throws if the run cannot do with them.
  [[nodiscard]] store::ExactSamples exact_samples(
      const std::function<void(const store::ExactSamples&)>& check = {}) const;

 private:
  void load_model(const std::filesystem::path& config_file);
  void load_prompts(const std::filesystem::path& config_file);
  /// Lets tensors go from device to device, for models that compute on one. *Collective over the world.*
  void connect_devices();
  /// Model, prompts and target are what the other ranks have read, too. *Collective over the world.*
  void require_same_inputs() const;
  void say_what_was_read() const;
  /// For one model, that of the next call of load_language_model() or the like: shared by the node's ranks.
  model::WeightMemory weight_memory();
  /// Of models beside p0 and of p0 itself, likewise.
  model::LoadOptions load_options();
  [[nodiscard]] exact::SetOptions exact_options(const exact::Target& target) const;
  void make_body(const std::filesystem::path& config_file);
  void make_potential(const std::filesystem::path& config_file);

  Config config_;
  comm::Communicator world_;
  comm::Groups groups_;
  comm::Communicator node_;
  std::shared_ptr<const device::Engine> engine_;
  FolderLock lock_;                       // of run.output, on the first rank
  std::deque<comm::NodeMemory> weights_;  // one for each model
  std::shared_ptr<const model::LanguageModel> lm_;
  twist::OwnBody body_;
  smc::ComputedTwist computed_;
  // lm_ and what the twist reads beside it, body_ or an automaton; nullptr without either
  std::shared_ptr<const model::LanguageModel> twist_lm_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  text::Prompt prompt_;
  std::vector<text::ListedPrompt> prompts_;
  std::vector<smc::LoadedPolicy> policies_;
  exact::RunTarget target_;
  std::unique_ptr<smc::ConditionalProblem> conditional_;
  std::shared_ptr<const model::Prefill> start_;
  bool may_resample_ = true;
};

/// Exit code of a run that a signal stopped and that goes on when it is started again (sysexits'
/// EX_TEMPFAIL).
inline constexpr int exit_work_left = 75;

/// Thrown by all ranks at the same place once a signal has ended their work and what they had is saved. No
/// failure, so no exception of the standard library: the command ends with exit_work_left.
struct Stopped {
  int signal = 0;
};

/// What the potential of a configuration may look at, readers of files included. Either may be null.
[[nodiscard]] potential::TargetContext target_context(const Config& config, const model::LanguageModel* lm,
                                                      const text::Tokenizer* tokenizer);

/// exact::split() as train.positives asks for it. `samples` must outlive both parts.
[[nodiscard]] exact::Split split(const store::ExactSamples& samples, const Config& config);

}  // namespace twistor::run
