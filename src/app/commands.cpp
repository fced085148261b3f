// SPDX-License-Identifier: Apache-2.0
// The table of subcommands.
#include "twistor/app/commands.hpp"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/run/session.hpp"

namespace twistor::app {

int run(const Invocation& invocation) {
  struct Entry {
    std::string_view name;
    int (*run)(const Invocation&);
  };
  constexpr Entry table[] = {{"train", train},   {"distill", distill},       {"evaluate", evaluate},
                             {"sample", sample}, {"scale", scale},           {"tokenize", tokenize},
                             {"score", score},   {"score-text", score_text}, {"compare", compare},
                             {"report", report}, {"watch", watch},           {"info", info}};
  const bool takes_one = invocation.command == "distill" || invocation.command == "score-text";
  TWISTOR_CHECK(invocation.config.prompt.file.empty() || !takes_one, ErrorKind::config, "reading prompt.file",
                fmt::format("`{}` is for one prompt", invocation.command),
                "give prompt.text, prompt.ids or prompt.messages");
  for (const Entry& entry : table) {
    if (entry.name != invocation.command) continue;
    try {
      return entry.run(invocation);
    } catch (const run::Stopped&) {
      return run::exit_work_left;
    } catch (const c10::OutOfMemoryError&) {
      throw Error(
          ErrorKind::config, "computing on the GPU", "its memory is full",
          "take fewer smc.particles (the log says how many fit), a smaller train.batch, or more ranks");
    }
  }
  TWISTOR_ASSERT(false, fmt::format("no entry for the command '{}'", invocation.command));
}

}  // namespace twistor::app
