// SPDX-License-Identifier: Apache-2.0
// HDF5's error stack as text, and the driver.
#include "hdf5_wrapper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

#include "twistor/base/descriptor.hpp"

namespace twistor::store::hdf5 {
namespace {

constexpr std::size_t worth_starting_early = std::size_t{1} << 20;

herr_t append_message(unsigned, const H5E_error2_t* error, void* text) {
  auto& out = *static_cast<std::string*>(text);
  try {
    if (error->desc != nullptr && *error->desc != '\0') {
      out += fmt::format("{}{} ({})", out.empty() ? "" : "; ", error->desc,
                         error->func_name != nullptr ? error->func_name : "?");
    }
  } catch (const std::exception&) {
    return -1;  // no exception may cross C; a shorter message is all that is lost
  }
  return 0;
}

/// H5FD_t must come first: HDF5 sees only that part.
struct DriverFile {
  H5FD_t common{};
  Medium* medium = nullptr;
  haddr_t allocated_end = 0;
};

Medium& medium_of(H5FD_t* file) {
  return *reinterpret_cast<DriverFile*>(file)->medium;
}

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* medium = static_cast<Medium* const*>(H5Pget_driver_info(access));
  auto* file = medium == nullptr ? nullptr : new (std::nothrow) DriverFile;
  if (file == nullptr) return nullptr;
  file->medium = *medium;
  return &file->common;
}

herr_t close_file(H5FD_t* file) {
  delete reinterpret_cast<DriverFile*>(file);
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t get_allocated_end(const H5FD_t* file, H5FD_mem_t) {
  return reinterpret_cast<const DriverFile*>(file)->allocated_end;
}

herr_t set_allocated_end(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  reinterpret_cast<DriverFile*>(file)->allocated_end = end;
  return 0;
}

haddr_t get_end(const H5FD_t* file, H5FD_mem_t) {
  const Medium& medium = *reinterpret_cast<const DriverFile*>(file)->medium;
  return medium.fd >= 0 ? medium.end : medium.bytes.size();
}

/// What lies beyond the end reads as zeros, as with HDF5's own drivers.
herr_t read_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t n_bytes, void* buffer) {
  const Medium& medium = medium_of(file);
  auto* out = static_cast<std::byte*>(buffer);
  std::memset(out, 0, n_bytes);
  if (medium.fd < 0) {
    if (address >= medium.bytes.size()) return 0;
    const auto n = std::min<std::size_t>(n_bytes, medium.bytes.size() - address);
    std::memcpy(out, medium.bytes.data() + address, n);
    return 0;
  }
  while (n_bytes > 0) {
    const ssize_t n = ::pread(medium.fd, out, n_bytes, static_cast<off_t>(address));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    out += n;
    n_bytes -= static_cast<std::size_t>(n);
    address += static_cast<haddr_t>(n);
  }
  return 0;
}

herr_t write_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t n_bytes, const void* buffer) {
  Medium& medium = medium_of(file);
  if (medium.fd < 0) return -1;
  if (medium.error == 0) {
    medium.error = write_fully(medium.fd, {static_cast<const std::byte*>(buffer), n_bytes}, address);
  }
  // Asks the disk to begin now, while the next dataset is being copied; only a hint, so its result does not
  // matter.
  if (n_bytes >= worth_starting_early) {
    ::sync_file_range(medium.fd, static_cast<off_t>(address), static_cast<off_t>(n_bytes),
                      SYNC_FILE_RANGE_WRITE);
  }
  medium.end = std::max(medium.end, std::uint64_t{address + n_bytes});
  return 0;
}

herr_t truncate_file(H5FD_t* file, hid_t, hbool_t) {
  Medium& medium = medium_of(file);
  if (medium.fd < 0) return 0;
  medium.end = reinterpret_cast<DriverFile*>(file)->allocated_end;
  if (medium.error == 0 && ::ftruncate(medium.fd, static_cast<off_t>(medium.end)) != 0) medium.error = errno;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
  driver.name = "twistor";
  driver.maxaddr = static_cast<haddr_t>(INT64_MAX);
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(Medium*);
  driver.open = open_file;
  driver.close = close_file;
  driver.query = query;
  driver.get_eoa = get_allocated_end;
  driver.set_eoa = set_allocated_end;
  driver.get_eof = get_end;
  driver.read = read_bytes;
  driver.write = write_bytes;
  driver.truncate = truncate_file;
  constexpr H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;  // metadata apart from raw data
  static_assert(sizeof map == sizeof driver.fl_map);
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return driver;
}

}  // namespace

QuietErrors::QuietErrors() {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

QuietErrors::~QuietErrors() {
  H5Eset_auto2(H5E_DEFAULT, function_, data_);
}

void throw_error(const Context& context, std::string_view call, std::source_location where) {
  std::string stack;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, append_message, &stack);
  throw Error(context.kind, context.doing,
              fmt::format("HDF5 refused {}: {}", call, stack.empty() ? "no reason given" : stack),
              context.kind == ErrorKind::data
                  ? "the file cannot be used; take another copy or an older generation"
                  : "",
              where);
}

Access::Access(Medium& medium, const Context& context) {
  // HDF5 copies the class and, below, the pointer to the medium.
  const H5FD_class_t driver = driver_class();
  driver_ = Driver(TWISTOR_HDF5(context, H5FDregister, &driver));
  list_ = PropertyList(TWISTOR_HDF5(context, H5Pcreate, H5P_FILE_ACCESS));
  const Medium* const pointer = &medium;
  TWISTOR_HDF5(context, H5Pset_driver, list_.get(), driver_.get(), static_cast<const void*>(&pointer));
  TWISTOR_HDF5(context, H5Pset_fclose_degree, list_.get(), H5F_CLOSE_STRONG);
}

}  // namespace twistor::store::hdf5
