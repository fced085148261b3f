// SPDX-License-Identifier: Apache-2.0
// The subcommands, a source each.
#pragma once

#include "twistor/app/command_line.hpp"

namespace twistor::app {

// Each returns the exit code of a run that went through (0) and throws an Error otherwise, or Stopped after a
// signal.

/// Learns a twist and evaluates it. *Collective over the world.*
[[nodiscard]] int train(const Invocation& invocation);
/// Fine-tunes the model towards the target, or away from it, round by round: train() of twist.form = ratio
/// with train.objective = distill or avoid. *Collective over the world.*
[[nodiscard]] int distill(const Invocation& invocation);
/// Bounds of log Z and KL divergences of a checkpoint. *Collective over the world.*
[[nodiscard]] int evaluate(const Invocation& invocation);
/// Draws sequences of the target and writes them with their weights. *Collective over the world.*
[[nodiscard]] int sample(const Invocation& invocation);

/// Prints what a run would cost on many ranks. *Collective over the world.*
[[nodiscard]] int scale(const Invocation& invocation);

/// Prints the ids of a text as a JSON array. *Local.*
[[nodiscard]] int tokenize(const Invocation& invocation);
/// Prints {"ids": [...], "log_probs": [...]}, log p0 of each token but the first given those before it.
/// *Local.*
[[nodiscard]] int score(const Invocation& invocation);
/// Prints log phi of texts, as the configured potential sees them. *Local.*
[[nodiscard]] int score_text(const Invocation& invocation);
/// Prints the table of invocation.paths. *Local.*
[[nodiscard]] int compare(const Invocation& invocation);
/// Writes report.html into each of invocation.paths and prints where, and the table of several. *Local.*
[[nodiscard]] int report(const Invocation& invocation);
/// Shows the run in its path until it ends; exit_work_left if that was not its end. *Local.*
[[nodiscard]] int watch(const Invocation& invocation);
/// Prints describe() of its path. *Local.*
[[nodiscard]] int info(const Invocation& invocation);
/// What a model, a run's folder or any file of a run is: lines for people, most of them "name: value". A
/// checkpoint has the line "parameters sha256: <hex>". Throws Error(no_input) if it is missing, Error(data)
/// if it is damaged.
[[nodiscard]] std::string describe(const std::filesystem::path& path);

/// Runs invocation.command. Returns its exit code; exit_work_left if a signal stopped it.
[[nodiscard]] int run(const Invocation& invocation);

}  // namespace twistor::app
