// SPDX-License-Identifier: Apache-2.0
// Arrays out of HDF5 files that other programs wrote: weights of Keras models, say.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/array.hpp"

namespace twistor::store {

/// The float32 datasets of these names ("layers/dense/vars/0"), in their order; what else is in the file is
/// not looked at. Such files carry no checksums, so NaN and infinities are refused but other damage is not
/// seen. *Local.* Throws Error(no_input) if the file cannot be read; Error(data) naming file and dataset if
/// one is missing, behind a link into another place, not float32, chunked or compressed, or shorter than its
/// shape says; all missing ones are named at once.
[[nodiscard]] std::vector<Array<float>> read_foreign_arrays(const std::filesystem::path& file,
                                                            std::span<const std::string> names);
/// The same for a file in memory; `origin` is its name in messages.
[[nodiscard]] std::vector<Array<float>> read_foreign_arrays(std::span<const std::byte> file,
                                                            const std::string& origin,
                                                            std::span<const std::string> names);

}  // namespace twistor::store
