// SPDX-License-Identifier: Apache-2.0
// A program that goes wrong in the way its argument says; failing_job_test.sh looks at what the launcher
// makes of it.
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "twistor/base/error.hpp"
#include "twistor/comm/environment.hpp"

namespace {

void go_wrong(const std::string& how, const twistor::comm::Communicator& world) {
  using twistor::Error;
  using twistor::ErrorKind;
  const bool is_last = world.rank() == world.size() - 1;
  if (how == "all")
    throw Error(ErrorKind::config, "reading run.cfg", "key smc.particles is 0", "give at least 1");
  if (how == "one" && is_last)
    throw Error(ErrorKind::data, "reading weights", "the file is cut short", "copy it again");
  if (how == "foreign" && is_last)
    throw std::runtime_error("something foreign\nException raised from a (b.cpp:1)");
  if (how == "killed" && is_last) std::raise(SIGKILL);
  if (how == "deaf") std::signal(SIGTERM, SIG_IGN);
  if (how == "deaf" && is_last) throw Error(ErrorKind::io, "writing a checkpoint", "the disk is full");
  world.barrier();  // the other ranks wait for one that never comes
  world.barrier();
}

}  // namespace

int main(int argc, char** argv) {
  twistor::comm::Environment environment(argc, argv);
  const auto world = twistor::comm::Communicator::world();
  try {
    go_wrong(argc > 1 ? argv[1] : "", world);
  } catch (const std::exception& error) {
    twistor::comm::report_and_abort(&world, error, "doing what was asked");
  }
  std::puts("fine");
}
