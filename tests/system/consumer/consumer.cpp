// SPDX-License-Identifier: Apache-2.0
// Uses an installed twistor as its users would: a tabular model, a potential by name, the program's version.
#include <cstdio>

#include "twistor/app/command_line.hpp"
#include "twistor/base/names.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/model/tabular.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/smc/scheme.hpp"
#include "twistor/store/version.hpp"

int main() {
  using namespace twistor;
  const auto lm = model::TabularModel::random(3, 5, 1);
  potential::PotentialOptions options;
  options.potential = "contains";
  options.ids = {1};
  const auto phi = potential::make_potential(options, {.lm = &lm});
  const std::vector<std::int64_t> prompt = {0};
  const double log_z = exact::enumerate(lm, *phi, prompt, 4).log_z();
  const std::vector<std::string> words = {"--version"};
  std::printf("%s with %s: log Z = %.6f\n%s", store::program_name().c_str(),
              std::string(name_of(smc::SchemeKind::stratified)).c_str(), log_z,
              app::read_command_line(words).printout.c_str());
  return log_z < 0 ? 0 : 1;
}
