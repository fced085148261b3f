// SPDX-License-Identifier: Apache-2.0
// A header that does not stand alone, planted so that the check of headers can be seen to fail.
#pragma once

inline std::vector<int> leaning() {
  return {1};
}
