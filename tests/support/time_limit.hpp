// How long a test may take, where a wrong algorithm would take far longer.
#pragma once

namespace twistor::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif
#else
constexpr bool is_sanitized = false;
#endif

/// The limit for optimised code, or what sanitizers need for the same work.
constexpr double time_limit(double seconds) {
  return is_sanitized ? 20 * seconds : seconds;
}

}  // namespace twistor::test
