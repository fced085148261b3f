// SPDX-License-Identifier: Apache-2.0
// What a program's commands take, as a script that completes words in bash and as a manual page.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/config/arguments.hpp"

namespace twistor::config {

/// One "--name=value", or "--name" alone.
struct CommandOption {
  std::string name;                  ///< without dashes: "smc.particles", "format"
  std::string meaning;               ///< half a line
  std::vector<std::string> choices;  ///< the values that it may have; empty: any
  std::string value;                 ///< its default as text; empty: none
  bool is_flag = false;              ///< has no value
};
struct CommandDocs {
  std::string name, arguments, summary;
  std::vector<CommandOption> options{};  ///< of its own
  std::vector<CommandOption> keys{};     ///< of the configuration, that it reads
};
/// From the groups of its --help: those that have flags are options of its own. *Local.*
[[nodiscard]] CommandDocs command_docs(std::string_view name, std::string_view arguments,
                                       std::string_view summary, std::span<const OptionGroup> groups);

/// All that a program says of itself.
struct ProgramDocs {
  std::string name, version, summary, epilogue;  ///< the epilogue in roff: further sections
  std::vector<CommandDocs> commands{};
  std::vector<CommandOption> keys{};  ///< of the configuration, sections together
};

/// For bash: completes commands, options and keys, values of those with choices, and files. *Local.*
[[nodiscard]] std::string bash_completion(const ProgramDocs& program);

/// Section 1 of the manual, in roff with the man macros. *Local.*
[[nodiscard]] std::string man_page(const ProgramDocs& program);

}  // namespace twistor::config
