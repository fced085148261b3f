// SPDX-License-Identifier: Apache-2.0
// The keys of the sections that belong to a run rather than to one room.
#include "twistor/config/make_key.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/run/config.hpp"

namespace twistor::run {
namespace {

using config::choice, config::Choice, config::count_from, config::input, config::key, config::learning;

constexpr config::Range token_count{1, 1048576};

}  // namespace

void ModelConfig::visit_keys(const config::Visitor& visit) {
  visit(key("path", "language model: a folder in Hugging Face layout or a .gguf file (required)"), &path);
  visit(key("dtype", "arithmetic of its matrix products"), Choice(dtype));
  visit(key("padded_tokens", "rows of the vocabulary that no token has"), Choice(padded_tokens));
  visit(key("context", "room for texts of so many tokens, for LongRoPE's long factors; 0: as first trained",
            config::count_from(0)),
        &context);
  visit(key("load", "who reads the weights: one rank of each node, or of the job"), Choice(load));
}

void PromptConfig::visit_keys(const config::Visitor& visit) {
  visit(key("text", "prompt as text (this, prompt.ids, prompt.messages or prompt.file is required)"), &text);
  visit(key("ids", "prompt as token ids"), &ids);
  visit(key("messages", "prompt as messages, JSON, for the model's chat template"), &messages);
  visit(input("file", "many prompts, JSON Lines"), &file);
  visit(key("template_arguments", "more names for that template, a JSON object"), &template_arguments);
  visit(key("special_tokens", "those that the tokenizer puts in front of a text"), Choice(special_tokens));
}

void TargetConfig::visit_keys(const config::Visitor& visit) {
  visit(key("length", "T, tokens to generate", token_count), &length);
  PotentialOptions::visit_keys(visit);
  visit(key("stop_at_eos", "whether a generated end-of-text token ends the text"), &stop_at_eos);
  visit(key("end_token", "ids of the tokens that end a text, empty: as the model's files say"), &end_token);
  visit(key("observation_length", "continuation: tokens to draw jointly where none are given", token_count),
        &observation_length);
}

void SmcConfig::visit_keys(const config::Visitor& visit) {
  sweep.visit_keys(visit);
  proposal.visit_keys(visit);
  visit(key("particles_at_once",
            "where scores lie on a device, rows of them that are there at a time, 0: all", count_from(0)),
        &particles_at_once);
}

void TrainConfig::visit_keys(const config::Visitor& visit) {
  visit(choice("objective", "loss", learn::objective_names()), &objective);
  visit(key("updates", "updates in all", count_from(0)), &updates);
  samples.visit_keys(visit);
  trainer.visit_keys(visit);
  course.visit_keys(visit);
}

void RunConfig::visit_keys(const config::Visitor& visit) {
  visit(learning(key("seed", "seed of all random numbers")), &seed);
  visit(key("output", "folder of all that the run writes"), &output);
  visit(key("ranks_per_population", "ranks that share one population, 0: all", {0, 1048576}),
        &ranks_per_population);
  visit(key("resume", "go on from a checkpoint in run.output"), Choice(resume));
  visit(key("save_every_s", "seconds between saves of unfinished evaluations, samples and exact samples",
            config::non_negative),
        &save_every_s);
  visit(key("device", "where language models and twists compute"), Choice(device));
  visit(key("kernels", "by whose kernels"), Choice(kernels));
  visit(key("collectives", "how tensors on a device go from rank to rank"), Choice(collectives));
  visit(key("cuda_graphs", "record short passes on a GPU as graphs"), Choice(graphs));
  visit(key("deterministic", "the same bits on any number of ranks on a GPU too"), &deterministic);
  visit(key("progress", "show a progress line"), &progress);
  visit(key("tensorboard", "write files of events for TensorBoard too"), &tensorboard);
}

config::Fields fields_of(Config& config) {
  config::Fields fields;
  fields.add("model", config.model);
  fields.add("prompt", config.prompt);
  fields.add("target", config.target);
  for (auto& [section, factor] : config.target.factors) fields.add(section, factor);
  fields.add("twist", config.twist);
  fields.add("smc", config.smc);
  for (auto& [section, policy] : config.policies) fields.add(section, policy);
  fields.add("train", config.train);
  fields.add("evaluate", config.evaluate);
  fields.add("sweep", config.sweep);
  fields.add("exact", config.exact);
  fields.add("sample", config.sample);
  fields.add("run", config.run);
  return fields;
}

}  // namespace twistor::run
