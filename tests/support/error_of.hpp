// SPDX-License-Identifier: Apache-2.0
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

/// The whole text of that error (what was being done, what was wrong, the hint), or "no error".
template <class Action>
[[nodiscard]] std::string message_of(Action&& action) {
  try {
    (void)action();
  } catch (const Error& error) {
    return error.text();
  }
  return "no error";
}

}  // namespace twistor::test
