// SPDX-License-Identifier: Apache-2.0
// Fuzzes the reader of stored files: no bytes may crash it, and no file that was changed anywhere may be
// accepted.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/store/checkpoint.hpp"
#include "twistor/store/container.hpp"

namespace {

using namespace twistor;

bool is_accepted(std::span<const std::byte> file) {
  try {
    (void)store::checkpoint_from(store::read_archive(file, "fuzz.h5", "checkpoint"));
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    return false;
  }
}

std::vector<std::byte> make_valid_file() {
  store::Checkpoint checkpoint;
  checkpoint.config_text = "run.seed = 1\n";
  checkpoint.twist_form = "linear";
  checkpoint.parameters["head.weight"] = {{2, 2}, {1, 2, 3, 4}};
  const auto path =
      std::filesystem::temp_directory_path() / ("twistor_fuzz_" + std::to_string(::getpid()) + ".h5");
  store::write_checkpoint(path, checkpoint, {1, false});
  std::vector<std::byte> bytes;
  {
    const MappedFile file(path);
    bytes.assign(file.bytes().begin(), file.bytes().end());
  }
  std::filesystem::remove(path);
  if (!is_accepted(bytes)) __builtin_trap();
  return bytes;
}

/// Reads the input as changes to a valid file: two bytes of place, one byte to add there; the last one
/// without a value cuts the file.
void change_valid_file(std::span<const std::byte> input) {
  static const std::vector<std::byte> valid = make_valid_file();
  std::vector<std::byte> file = valid;
  while (input.size() >= 2) {
    const auto place =
        (std::to_integer<std::size_t>(input[0]) << 8 | std::to_integer<std::size_t>(input[1])) % valid.size();
    if (input.size() == 2) {
      file.resize(place);
      break;
    }
    file[place] ^= input[2];
    input = input.subspan(3);
  }
  if (file != valid && is_accepted(file)) __builtin_trap();
}

/// The map is the one part that is parsed as text; its checksum would keep the fuzzer away from the parser.
void parse_as_map(std::string_view text) {
  try {
    const auto extents = store::parse_map(text, store::header_bytes, 4096, "fuzzing");
    if (store::parse_map(store::format_map(extents), store::header_bytes, 4096, "fuzzing") != extents)
      __builtin_trap();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span input(reinterpret_cast<const std::byte*>(data), size);
  if (is_accepted(input) && size < store::header_bytes) __builtin_trap();
  change_valid_file(input);
  parse_as_map({reinterpret_cast<const char*>(data), size});
  return 0;
}
