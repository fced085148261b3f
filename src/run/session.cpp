// SPDX-License-Identifier: Apache-2.0
// Setting up a run.
#include "twistor/run/session.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/threads.hpp"
#include "twistor/comm/job_place.hpp"
#include "twistor/comm/signals.hpp"
#include "twistor/comm/tensor_collectives.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/device/choose.hpp"
#include "twistor/device/isa.hpp"
#include "twistor/format/model_folder.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/run/same_inputs.hpp"
#include "twistor/smc/memory.hpp"
#include "twistor/store/foreign_arrays.hpp"
#include "twistor/store/run_folder.hpp"
#include "twistor/text/decode.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::run {

Session::Session(const Config& config, const std::filesystem::path& config_file)
    : config_(config),
      world_(world_with(config)),
      groups_(comm::make_groups(world_, static_cast<int>(config.run.ranks_per_population))),
      node_(world_.node()),
      engine_(device::make_engine(
          config.run.device, config.run.kernels, node_.rank(),
          {config.model.dtype, config.run.graphs, config.run.deterministic, config.smc.particles_at_once})) {
  comm::watch_signals();
  if (const comm::JobPlace place = comm::job_place(world_);
      is_root() && (place.hosts.size() > 1 || !place.id.empty()))
    log_info(comm::describe(place));
  const std::filesystem::path folder = config::output_path(config_.run.output);
  store::make_run_folder(folder);
  if (is_root()) lock_ = store::claim_run_folder(folder);
  load_model(config_file);
  connect_devices();
  stop_if_interrupted("nothing was begun");
  load_prompts(config_file);
  if (config.target.stop_at_eos)
    lm_ = model::make_end_absorbing(std::move(lm_), config.target.end_token, tokenizer_.get(),
                                    static_cast<std::int64_t>(prompt_.ids.size()));
  if (config.twist.has_body()) make_body(config_file);
  make_potential(config_file);
  require_same_inputs();
  start_ = std::make_shared<model::Prefill>(model::prefill(*lm_, prompt_.ids));
  if (is_root()) say_what_was_read();
  if (!config.twist.has_automaton() || config.smc.draws_from_policy()) return;
  TWISTOR_CHECK(prompts().empty(), ErrorKind::config, "making the twist",
                "a twist of an automaton is computed for one prompt, and there is a list",
                "give one prompt, or learn a twist (twist.form = mlp)");
  computed_ =
      smc::compute_twist(lm_, base_problem(), config.twist, config.target.length, config.run.seed, world_);
  twist_lm_ = computed_.lm;
  if (is_root()) log_info(computed_.description);
}

void Session::connect_devices() {
  // The CPU's own engine keeps all in main memory, where MPI finds it.
  if (world_.size() == 1 || !lm_->engine()->keeps_tensors()) return;
  const at::Device device = lm_->engine()->device();
  const auto connect = [&](const comm::Communicator& ranks) -> std::shared_ptr<comm::TensorCollectives> {
    return comm::make_tensor_collectives(ranks, device, config_.run.collectives);
  };
  const auto of_all = connect(world_);
  world_.carry_tensors_by(of_all);
  if (is_root()) log_info("tensors go from rank to rank by " + of_all->name());
  if (groups_.group.size() > 1)
    groups_.group.carry_tensors_by(groups_.n_groups == 1 ? of_all : connect(groups_.group));
}

learn::GradientSums Session::gradient_sums() const {
  using enum learn::GradientSums;
  if (!lm_->engine()->keeps_tensors()) return in_main_memory;
  return lm_->engine()->keeps_bits() ? on_device : on_device_in_any_order;
}

void Session::require_same_inputs() const {
  require_same("language model", twist_lm()->fingerprint(), world_);
  require_same("prompt", fmt::format("{} {}", fmt::join(prompt_.ids, ","), text::digest(prompts_)), world_);
  require_same("target", potential_identity(), world_);
}

smc::Share Session::share() const {
  const std::int64_t n_ranks = groups_.group.size();
  return {(config_.smc.sweep.particles + n_ranks - 1) / n_ranks, n_ranks > 1};
}

void Session::say_what_was_read() const {
  const std::string warning = text::unknown_token_warning(prompt_.text, prompt_.ids, tokenizer_.get());
  if (!warning.empty()) log_warning(warning);
  if (const std::string crowded = thread_warning(node_.size()); !crowded.empty()) log_warning(crowded);
  log_info(fmt::format("model: {}; engine: {}; instruction set: {}; {}", lm_->description(),
                       engine_->description(), name_of(device::isa_in_use()),
                       describe_threads(node_.size())));
  if (!engine_->keeps_bits() && world_.size() > 1)
    log_info("on this engine the last bits of results depend on the number of ranks");
  smc::say_memory(*lm_, *start_, config_.target.length, share(), node_.size());
  if (body() != nullptr) log_info(twist::describe(config_.twist, *body()));
  log_info(fmt::format(
      "prompt: {}; target: {}, T = {}",
      prompts_.empty() ? text::describe(prompt_, tokenizer_.get()) : text::describe(prompts_),
      pairs() != nullptr ? potential_identity() : potential().description(), config_.target.length));
}

void Session::load_model(const std::filesystem::path& config_file) {
  const std::filesystem::path path = config::input_path(config_.model.path, config_file, "model.path");
  if (is_root())
    log_info(fmt::format("loading the language model from {}, {:.1f} MB", path.string(),
                         static_cast<double>(format::bytes_on_disk(path)) * 1e-6));
  lm_ = model::load_language_model(path, load_options());
  tokenizer_ = text::load_tokenizer(path);
  if (tokenizer_ == nullptr || config_.model.padded_tokens == model::PaddedTokens::keep) return;
  const std::string padded = model::padding_notice(*lm_, *tokenizer_);
  lm_ = model::mask_padded_tokens(std::move(lm_), *tokenizer_);
  if (is_root() && !padded.empty()) log_info(padded);
}

void Session::load_prompts(const std::filesystem::path& config_file) {
  const auto model = config::input_path(config_.model.path, config_file, "model.path");
  if (config_.prompt.file.empty()) {
    prompt_ = text::read_prompt(config_.prompt, tokenizer_.get(), lm_->vocab_size(), model);
    return text::require_room(prompt_, config_.target.length, lm_->context_length());
  }
  prompts_ = text::read_prompt_list(config::input_path(config_.prompt.file, config_file, "prompt.file"),
                                    {config_.prompt, config_.target.length, lm_->context_length(),
                                     tokenizer_.get(), lm_->vocab_size(), model});
  prompt_ = prompts_.front().prompt;
}

model::LoadOptions Session::load_options() {
  model::LoadOptions options{config_.model.dtype, weight_memory(), engine_};
  options.context = config_.model.context;
  return options;
}

model::WeightMemory Session::weight_memory() {
  model::WeightMemory memory;
  const bool is_broadcast = config_.model.load == Load::broadcast && world_.size() > node_.size();
  if (node_.size() == 1 && !is_broadcast) return memory;
  memory.is_writer = is_broadcast ? is_root() : node_.rank() == 0;
  memory.allocate = [this](std::size_t bytes) { return weights_.emplace_back(node_, bytes).bytes().data(); };
  memory.publish = [this, is_broadcast] {
    if (!is_broadcast) return weights_.back().publish();
    weights_.back().publish_from_first(world_);
    if (is_root())
      log_info(fmt::format("{:.1f} MB of weights were read once and sent to the other nodes",
                           static_cast<double>(weights_.back().bytes().size()) * 1e-6));
  };
  return memory;
}

void Session::make_potential(const std::filesystem::path& config_file) {
  const TargetConfig& t = config_.target;
  potential::TargetContext context = target_context(config_, lm_.get(), tokenizer_.get());
  context.weight_memory = [this] { return weight_memory(); };
  context.engine = engine_;
  target_ =
      exact::make_run_target(*lm_, prompt_.ids, potential::with_inputs_found(t, config_file), context,
                             {config_.twist.condition, t.length, t.observation_length, config_.run.seed});
  if (is_root() && !observation().empty())
    log_info(fmt::format("drawn jointly: o = \"{}\" with s = \"{}\"", decode(observation()),
                         decode(target_.joint_sample)));
  if (config_.twist.condition == model::Condition::none) return;
  conditional_ =
      std::make_unique<smc::ConditionalProblem>(twist_lm_ != nullptr ? twist_lm_ : lm_, body_.sampler(),
                                                prompt_.ids, potential(), config_.twist.condition);
}

/// Before the end becomes absorbing for both: a body reads the same texts.
void Session::make_body(const std::filesystem::path& config_file) {
  const twist::FormOptions& t = config_.twist;
  const auto adapter = t.adapter.empty() ? std::filesystem::path()
                                         : config::input_path(t.adapter, config_file, "twist.adapter");
  body_ = twist::load_body(t, config::input_path(config_.model.path, config_file, "model.path"), adapter,
                           {.precision = config_.model.dtype,
                            .engine = engine_,
                            .seed = config_.run.seed,
                            .context = config_.model.context});
  twist_lm_ = model::join(lm_, body_.decoder->sampler(), static_cast<std::int64_t>(prompt_.ids.size()));
}

smc::Problem Session::problem() const {
  if (!policies_.empty() && config_.smc.draws_from_policy()) return problem(policies_.front());
  if (conditional_ != nullptr) return conditional_->kept(potential().observation());
  if (twist_lm_ == nullptr) return base_problem();
  return smc::Problem{*twist_lm_, prompt_.ids, potential()}.with_start();
}

void Session::load_policies(const std::filesystem::path& config_file) {
  for (const auto& [section, options] : config_.policies) {
    if (!options.is_given()) continue;
    TWISTOR_CHECK(pairs() == nullptr, ErrorKind::config, "loading the policy " + section,
                  "a policy is measured on one target, and twist.condition draws many observations",
                  "name one by target.text, target.ids or target.class");
    policies_.push_back(smc::load_policy(section, options,
                                         {config_file,
                                          config_.model.path,
                                          load_options(),
                                          {lm_, tokenizer_.get(), config_.model.padded_tokens,
                                           static_cast<std::int64_t>(prompt_.ids.size())}}));
    if (is_root()) log_info(policies_.back().description());
  }
}

smc::Problem Session::problem(const smc::LoadedPolicy& policy) const {
  return smc::Problem{*policy.models.base, prompt_.ids, potential()}.with_start();
}

std::unique_ptr<twist::Trainable> Session::make_twist(const std::string& objective, Changes changes) {
  const auto learned_with = learn::make_objective(objective, {});
  may_resample_ = learn::may_resample(*learned_with, objective, config_.smc.sweep.trigger);
  if (is_root() && !may_resample_ && config_.smc.sweep.trigger != smc::Trigger::never)
    log_info(fmt::format("populations are never resampled: train.objective = {} learns q alone", objective));
  CommonMemoryMaker common_memory;
  if (changes == Changes::together && node_.size() > 1)
    common_memory = [this](std::size_t bytes) { return comm::common_memory(node_, bytes); };
  auto twist = twist::make_twist(
      config_.twist.form, {.width = lm_->feature_size(),
                           .vocab_size = lm_->vocab_size(),
                           .precision = config_.model.dtype,
                           .init_scale = config_.twist.init_scale,
                           .seed = config_.run.seed,
                           .link = learned_with->link(),
                           .has_value = learned_with->has_value(),
                           .engine = lm_->engine(),
                           .output_matrix = lm_->output_matrix(),
                           .first_column = twist_lm_ != nullptr ? lm_->without_end().hidden_size() : 0,
                           .condition_width = conditional_ != nullptr ? conditional_->encoding_width() : 0,
                           .body = body_.decoder,
                           .prompt = prompt_.ids,
                           .body_reads_observation = config_.twist.condition == model::Condition::tokens,
                           .base = &lm_->without_end(),
                           .common_memory = std::move(common_memory),
                           .automaton_values = computed_.values});
  if (!body_.adapter.empty()) twist::start_from(body_.adapter, *twist);
  return twist;
}

smc::Proposal Session::make_proposal(const twist::Twist& twist) const {
  if (config_.smc.draws_from_policy()) {
    TWISTOR_ASSERT(!policies_.empty(), "policies are loaded");
    return {*policies_.front().models.base, twist, policies_.front().view()};
  }
  if (conditional_ != nullptr) return {problem().lm, twist, config_.smc.proposal};
  return {twist_lm_ != nullptr ? *twist_lm_ : *lm_, twist, config_.smc.proposal};
}

smc::Proposal Session::make_base_proposal(const twist::NoTwist& none) const {
  if (config_.smc.draws_from_policy()) return {*lm_, none, smc::ProposalKind::base};
  return {*lm_, none, config_.smc.proposal};
}

smc::SweepOptions Session::sweep_options() const {
  smc::SweepOptions options = config_.smc.sweep;
  options.length = config_.target.length;
  if (!may_resample_ || config_.smc.draws_from_policy()) options.trigger = smc::Trigger::never;
  options.seed = config_.run.seed;
  return options;
}

std::string Session::decode(std::span<const std::int64_t> ids) const {
  if (tokenizer_ == nullptr) return {};
  return text::decode_any(*tokenizer_, lm_->end_rule().before_end(ids));
}

std::filesystem::path Session::output(const std::string& name) const {
  return config::output_path(config_.run.output) / name;
}

Interrupt Session::interrupt() const {
  return [this] { return comm::agreed_signal(world_) != 0; };
}

void Session::stop(const std::string& what_is_kept) const {
  const int signal = comm::agreed_signal(world_);
  if (is_root()) log_warning(fmt::format("stopped by signal {}; {}", signal, what_is_kept));
  throw Stopped{signal};
}

void Session::stop_if_interrupted(const std::string& what_is_kept) const {
  if (comm::agreed_signal(world_) != 0) stop(what_is_kept);
}

Steering Session::steering(report::ProgressLine& progress, const std::string& before,
                           const std::string& after) const {
  const Observer show = [&progress, before, after](std::string_view what, std::int64_t done,
                                                   std::int64_t wanted) {
    progress.update(fmt::format("{}{}: {} of {}{}", before, what, done, wanted, after), {done, wanted});
  };
  return {interrupt(), show, [] { return comm::pending_signal() != 0; }, config_.run.save_every_s};
}

report::ProgressOptions Session::progress() const {
  report::ProgressOptions options;
  options.enabled = is_root() && config_.run.progress;
  return options;
}

potential::TargetContext target_context(const Config& config, const model::LanguageModel* lm,
                                        const text::Tokenizer* tokenizer) {
  potential::TargetContext context;
  context.has_special_tokens = config.prompt.special_tokens != text::FrontTokens::none;
  context.lm = lm;
  context.tokenizer = tokenizer;
  context.read_arrays = [](const std::filesystem::path& file, std::span<const std::string> names) {
    return store::read_foreign_arrays(file, names);
  };
  return context;
}

exact::Split split(const store::ExactSamples& samples, const Config& config) {
  if (samples.has_observations() && config.twist.condition != model::Condition::none) return {};
  return exact::split(samples, learn::learns_from_exact(config.train.samples.positives, samples.n()));
}

}  // namespace twistor::run
