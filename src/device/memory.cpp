// SPDX-License-Identifier: Apache-2.0
// Asks the CUDA runtime that LibTorch's CUDA part has brought along; the program is not linked with it.
#include "twistor/device/memory.hpp"

#include <dlfcn.h>

#include <array>
#include <cstddef>

namespace twistor::device {

std::optional<DeviceMemory> memory_of(at::Device device) {
  using Ask = int (*)(std::size_t * free, std::size_t * total);
  if (device.is_cpu()) return std::nullopt;
  const auto ask = reinterpret_cast<Ask>(dlsym(RTLD_DEFAULT, "cudaMemGetInfo"));
  std::size_t free = 0, total = 0;
  if (ask == nullptr || ask(&free, &total) != 0) return std::nullopt;
  return DeviceMemory{static_cast<std::int64_t>(free), static_cast<std::int64_t>(total)};
}

std::string bus_id(at::Device device) {
  using Ask = int (*)(char* out, int size, int device);
  if (device.is_cpu()) return {};
  const auto ask = reinterpret_cast<Ask>(dlsym(RTLD_DEFAULT, "cudaDeviceGetPCIBusId"));
  std::array<char, 32> out{};
  if (ask == nullptr || ask(out.data(), static_cast<int>(out.size()), device.index()) != 0) return {};
  return out.data();
}

}  // namespace twistor::device
