// The error that something throws, for looking at its kind and text.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "twistor/base/error.hpp"

namespace twistor::test {

/// Fails the test if `action` throws no Error.
template <class Action>
[[nodiscard]] Error error_of(Action&& action) {
  try {
    (void)action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "expected an Error";
  return {ErrorKind::internal, "nothing", "was thrown"};
}

/// Its whole text: what was being done, what was wrong, the hint.
template <class Action>
[[nodiscard]] std::string message_of(Action&& action) {
  return error_of(action).text();
}

}  // namespace twistor::test
