// SPDX-License-Identifier: Apache-2.0
// Engines by name, for tests that run on every one. TWISTOR_TEST_DEVICE=cuda adds the GPU's.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "twistor/device/choose.hpp"

namespace twistor::test {

inline std::shared_ptr<const device::Engine> make_cuda_engine(device::KernelChoice kernels) {
  const char* const wanted = std::getenv("TWISTOR_TEST_DEVICE");
  return wanted != nullptr && std::string_view(wanted) == "cuda"
             ? device::make_engine(device::Place::cuda, kernels, 0)
             : nullptr;
}

/// Made before main, because LibTorch looks for its CUDA part once.
inline const std::shared_ptr<const device::Engine> cuda_engine =
    make_cuda_engine(device::KernelChoice::automatic);

/// "own", "aten", "emulated", "recorded" (emulated, with passes recorded), "in_parts" (emulated, with scores
/// of few rows at a time), "cuda" or "cuda_aten"; nullptr for the last two where they are not asked for, and
/// for what is emulated under ThreadSanitizer, which does not know the emulator's fibers there (tests/races
/// has a build where it does).
inline std::shared_ptr<const device::Engine> engine_named(std::string_view name) {
#ifdef __SANITIZE_THREAD__
  if (name == "emulated" || name == "recorded" || name == "in_parts") return nullptr;
#endif
  if (name == "own") return device::cpu_engine();
  if (name == "aten") return device::make_engine(device::Place::cpu, device::KernelChoice::aten, 0);
  if (name == "emulated")
    return device::make_engine(device::Place::emulated, device::KernelChoice::automatic, 0);
  if (name == "recorded")
    return device::make_engine(device::Place::emulated, device::KernelChoice::automatic, 0,
                               {device::Precision::float32, device::GraphUse::on});
  if (name == "in_parts")
    return device::make_engine(device::Place::emulated, device::KernelChoice::automatic, 0,
                               {.score_rows = 3});
  return name == "cuda" ? cuda_engine : make_cuda_engine(device::KernelChoice::aten);
}

inline const auto every_engine = testing::Values("own", "aten", "emulated", "cuda", "cuda_aten");
inline const auto every_tensor_engine = testing::Values("aten", "emulated", "cuda", "cuda_aten");

}  // namespace twistor::test
