// SPDX-License-Identifier: Apache-2.0
// Names of hosts from all ranks, and the batch system's variables.
#include "twistor/comm/job_place.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>

#include "twistor/base/strings.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {

std::string job_id() {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"})
    if (const char* id = std::getenv(name); id != nullptr && *id != '\0') return id;
  return {};
}

JobPlace job_place(const Communicator& world) {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') name = {"unknown"};
  std::string line(name.data());
  line += '\n';
  const std::vector<char> all = all_gather(std::span<const char>(line), world);
  JobPlace out;
  std::string_view rest(all.data(), all.size());
  while (!rest.empty()) {
    const std::string host(take_line(rest));
    const auto found = std::ranges::find(out.hosts, host, [](const auto& entry) { return entry.first; });
    if (found == out.hosts.end())
      out.hosts.emplace_back(host, 1);
    else
      ++found->second;
  }
  out.id = job_id();
  broadcast(out.id, 0, world);
  return out;
}

std::string describe(const JobPlace& place) {
  std::int64_t n = 0;
  std::string hosts;
  for (const auto& [host, n_ranks] : place.hosts) {
    n += n_ranks;
    hosts += fmt::format("{}{} ({})", hosts.empty() ? "" : ", ", host, n_ranks);
  }
  return fmt::format("{}{} rank{}: {}", place.id.empty() ? "" : fmt::format("job {}, ", place.id), n,
                     n == 1 ? "" : "s", hosts);
}

}  // namespace twistor::comm
