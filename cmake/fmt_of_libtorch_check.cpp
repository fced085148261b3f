// SPDX-License-Identifier: Apache-2.0
// Links only where fmt_of_libtorch.cpp defines all that LibTorch's fmt headers leave to a library.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  const std::vector<double> values{1.5, 2.5};
  const std::string text =
      fmt::format("{} {:.3f} {:>10} {} {:x} {:L} {}", argc, 0.5f * static_cast<float>(argc), argv[0],
                  fmt::join(values, ", "), 17u, 1234567, 1e300);
  fmt::print(stderr, "{:<{}}{}{:016x}\n", text, 40, true, std::uint64_t{5});
  return 0;
}
