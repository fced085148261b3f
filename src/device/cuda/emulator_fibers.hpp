// SPDX-License-Identifier: Apache-2.0
// Stacks that take turns on one thread of the host. Private to the device room.
#pragma once

#include <setjmp.h>  // NOLINT(modernize-deprecated-headers): _setjmp
#include <ucontext.h>

#include <cstddef>
#include <memory>

// Sanitizers follow swapcontext() alone.
#if defined(TWISTOR_EMULATOR_RACES) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TWISTOR_FIBERS_BY_CONTEXT
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TWISTOR_FIBERS_BY_CONTEXT
#endif
#endif

namespace twistor::device::emulator {

/// A function on a stack of its own, which runs when it is told to and until it gives way.
class Fiber {
 public:
  /// `body` never returns. All calls of one fiber come from one thread.
  explicit Fiber(void (*body)()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = stack_bytes;
    context_.uc_link = nullptr;
    makecontext(&context_, body, 0);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() = default;

#ifdef TWISTOR_FIBERS_BY_CONTEXT
  void resume() {
    swapcontext(&caller_, &context_);
  }
  void give_way() {
    swapcontext(&context_, &caller_);
  }

 private:
  ucontext_t caller_{};
#else
  /// From outside: returns when it gives way.
  void resume() {
    if (_setjmp(caller_) != 0) return;
    if (is_started_) _longjmp(here_, 1);
    is_started_ = true;
    setcontext(&context_);
  }
  /// From within: returns when it is resumed.
  void give_way() {
    if (_setjmp(here_) == 0) _longjmp(caller_, 1);
  }

 private:
  // swapcontext() would ask the operating system for the mask of signals at every change.
  jmp_buf caller_{}, here_{};
  bool is_started_ = false;
#endif
  static constexpr std::size_t stack_bytes = std::size_t{64} << 10;
  std::unique_ptr<std::byte[]> stack_ = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  ucontext_t context_{};
};

}  // namespace twistor::device::emulator
