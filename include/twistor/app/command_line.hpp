// SPDX-License-Identifier: Apache-2.0
// From the words of the command line to what the user asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/report/compare.hpp"
#include "twistor/run/config.hpp"
#include "twistor/run/scale_options.hpp"

namespace twistor::app {

/// What a subcommand is to do.
struct Invocation {
  std::string command;

  // train, evaluate, sample, scale, score-text
  std::filesystem::path config_file;
  run::Config config;  ///< the file's with the command line's overrides

  // tokenize, score: a model; info: a model, a run's folder or any file of a run; compare: runs' folders
  std::vector<std::filesystem::path> paths;
  std::vector<std::string> texts;  ///< --text of tokenize, score and score-text, as often as given

  // tokenize
  bool is_special = false;  ///< with the special tokens around a text
  std::string messages;     ///< in place of a text, for the chat template

  // score: as the keys of those names
  std::vector<std::int64_t> ids;
  device::Precision dtype = device::Precision::float32;
  text::FrontTokens special_tokens = text::FrontTokens::automatic;
  model::PaddedTokens padded_tokens = model::PaddedTokens::mask;
  std::string adapter;  ///< PEFT folder added to the model

  run::ScaleOptions scale;

  bool is_once = false;  ///< watch: shows what there is, and ends

  // score-text
  std::string texts_file;
  bool is_json = false;

  // compare, report
  report::CompareFormat format = report::CompareFormat::text, page_format = report::CompareFormat::html;
  std::string by;              ///< the key that tells rows apart
  std::string beside, output;  ///< a file of further columns; an archive or a table to write
};

/// Either something to print (--help, --version), or a command to run.
struct CommandLine {
  std::string printout;
  Invocation invocation;
};

/// `words` as main gets them, without the program's name. Reads the configuration file too. *Local.* Throws
/// Error(usage), or what load_config() throws.
[[nodiscard]] CommandLine read_command_line(std::span<const std::string> words);

/// Whether the words ask for a command that runs on many ranks. Never throws.
[[nodiscard]] bool wants_ranks(std::span<const std::string> words) noexcept;

}  // namespace twistor::app
