// SPDX-License-Identifier: Apache-2.0
// The message tags of this room: one for each purpose, so that no message is ever taken for another.
#pragma once

namespace twistor::comm::tags {

inline constexpr int gather = 11;
inline constexpr int parcel = 12;
inline constexpr int unannounced_parcel = 13;
inline constexpr int tree = 14;
inline constexpr int tensor = 15;

}  // namespace twistor::comm::tags
