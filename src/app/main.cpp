// SPDX-License-Identifier: Apache-2.0
// twistor: twisted Sequential Monte Carlo for language models. Sets the process up, runs one subcommand,
// reports errors.
#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/memory.hpp"
#include "twistor/base/threads.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/comm/instruction_set.hpp"
#include "twistor/device/isa.hpp"
#include "twistor/device/require.hpp"

int main(int argc, char** argv) {
  using namespace twistor;
  device::require_x86_64_v3();
  keep_freed_memory();
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  std::optional<comm::Environment> environment;
  std::optional<comm::Communicator> world;
  try {
    if (app::wants_ranks(words) || comm::Environment::launched_by_mpirun()) {
      environment.emplace(argc, argv);
      world = comm::Communicator::world();
      if (world->rank() > 0) set_log_level(LogLevel::warning);
    }
    const app::CommandLine command_line = app::read_command_line(words);
    if (!command_line.printout.empty()) {
      if (!world || world->rank() == 0) fmt::print("{}", command_line.printout);
      return 0;
    }
    if (world)
      comm::agree_on_isa(*world);
    else
      (void)device::isa_in_use();  // a wrong TWISTOR_ISA is refused here and not amid parallel kernels
    share_cores(world ? world->node().size() : 1);
    return app::run(command_line.invocation);
  } catch (const std::exception& error) {
    comm::report_and_abort(world ? &*world : nullptr, error, "running twistor");
  }
}
