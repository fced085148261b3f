// The keys of the sections that belong to a run rather than to one room.
#include "twistor/app/config.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::app {
namespace {

using config::choice, config::Choice, config::count_from, config::key, config::learning;

constexpr config::Range tokens{1, 1048576};

}  // namespace

void ModelConfig::visit_keys(const config::Visitor& visit) {
  visit(key("path", "language model: a folder in Hugging Face layout or a .gguf file (required)"), &path);
  visit(key("dtype", "arithmetic of its matrix products"), Choice(dtype));
  visit(key("padded_tokens", "rows of the vocabulary that no token has"), Choice(padded_tokens));
}

void PromptConfig::visit_keys(const config::Visitor& visit) {
  visit(key("text", "prompt as text (this or prompt.ids is required)"), &text);
  visit(key("ids", "prompt as token ids"), &ids);
  visit(key("special_tokens", "those that the tokenizer puts in front of a text"), Choice(special_tokens));
}

void TargetConfig::visit_keys(const config::Visitor& visit) {
  visit(key("length", "T, tokens to generate", tokens), &length);
  PotentialOptions::visit_keys(visit);
  visit(key("stop_at_eos", "whether a generated end-of-text token ends the text"), &stop_at_eos);
  visit(key("end_token", "ids of the tokens that end a text, empty: as the model's files say"), &end_token);
  visit(key("observation_length", "continuation: tokens to draw jointly where none are given", tokens),
        &observation_length);
}

void TwistConfig::visit_keys(const config::Visitor& visit) {
  visit(choice("form", "head on hidden states", twist::twist_forms()), &form);
  visit(choice("body", "whose hidden states: the base model's, or those of a learned copy",
               {"base", "copy", "lora"}),
        &body);
  visit(key("lora_rank", "body = lora: rank of what is added to each matrix", {1, 65536}), &lora_rank);
  visit(key("lora_alpha", "body = lora: what is added is scaled by lora_alpha / lora_rank", config::positive),
        &lora_alpha);
  visit(key("lora_targets", "body = lora: names of the matrices, empty: all of the layers"), &lora_targets);
  visit(
      learning(config::input("adapter", "body = lora: folder of a PEFT adapter to start from, empty: none")),
      &adapter);
  visit(learning(key("init_scale", "factor on the spread of the output layer's initial weights; 0: psi = 1",
                     config::non_negative)),
        &init_scale);
}

void SmcConfig::visit_keys(const config::Visitor& visit) {
  sweep.visit_keys(visit);
  proposal.visit_keys(visit);
}

void TrainConfig::visit_keys(const config::Visitor& visit) {
  visit(choice("objective", "loss", learn::objective_names()), &objective);
  visit(key("updates", "updates in all", count_from(0)), &updates);
  samples.visit_keys(visit);
  trainer.visit_keys(visit);
  visit(key("schedule", "lengths of epochs"), Choice(schedule));
  visit(key("epochs", "schedule = fixed: number of epochs", {1, 1000000}), &epochs);
  visit(key("checkpoint_every", "updates between checkpoints, 0: only at the end", count_from(0)),
        &checkpoint_every);
  visit(key("evaluate", "evaluate before each epoch and at the end"), &evaluate);
  visit(key("start", "checkpoint whose twist learning starts from, empty: a fresh twist"), &start);
  visit(key("max_seconds", "learning ends after so many, 0: never", config::non_negative), &max_seconds);
  visit(key("max_samples", "learning ends after so many drawn sequences, 0: never", count_from(0)),
        &max_samples);
  visit(key("keep", "which of the evaluated twists the run ends with"), config::Choice(keep));
  visit(key("patience", "keep = best: evaluations without a better one that end learning, 0: never",
            count_from(0)),
        &patience);
}

void EvaluateConfig::visit_keys(const config::Visitor& visit) {
  visit(key("repeats", "runs of each estimator of log Z", count_from(1)), &repeats);
  visit(key("samples", "samples for each KL divergence", count_from(1)), &samples);
  visit(key("checkpoint", "twist to use, empty: run.output/checkpoint.h5"), &checkpoint);
  visit(key("base", "evaluate the base model too, psi = 1 and q = p0, to compare with"), &base);
  visit(key("enumerate", "exact log Z by enumeration"), Choice(enumerate));
  visit(key("enumeration_limit", "enumerate = auto: most sequences", {1, 4294967296.0}), &enumeration_limit);
  visit(key("enumerate_q", "where the target is enumerated, q too, which makes divergences exact"),
        &enumerate_q);
  visit(key("log_z", "log Z where it is known from elsewhere, overrides what the run finds"), &log_z);
}

void RunConfig::visit_keys(const config::Visitor& visit) {
  visit(learning(key("seed", "seed of all random numbers")), &seed);
  visit(key("output", "folder of all that the run writes"), &output);
  visit(key("ranks_per_population", "ranks that share one population, 0: all", {0, 1048576}),
        &ranks_per_population);
  visit(key("resume", "go on from a checkpoint in run.output"), Choice(resume));
  visit(key("device", "where language models and twists compute"), Choice(device));
  visit(key("kernels", "by whose kernels"), Choice(kernels));
  visit(key("progress", "show a progress line"), &progress);
}

config::Fields fields_of(Config& config) {
  config::Fields fields;
  fields.add("model", config.model);
  fields.add("prompt", config.prompt);
  fields.add("target", config.target);
  fields.add("twist", config.twist);
  fields.add("smc", config.smc);
  fields.add("train", config.train);
  fields.add("evaluate", config.evaluate);
  fields.add("exact", config.exact);
  fields.add("sample", config.sample);
  fields.add("run", config.run);
  return fields;
}

}  // namespace twistor::app
