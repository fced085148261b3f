// SPDX-License-Identifier: Apache-2.0
// Everything that touches hdf5.h: owned handles, checked calls, and a driver whose writes cannot fail inside
// HDF5.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <span>
#include <string>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"

namespace twistor::store::hdf5 {

template <herr_t (*Close)(hid_t)>
struct IdTraits {
  using type = hid_t;
  static type null() noexcept { return H5I_INVALID_HID; }
  static void close(type id) noexcept { Close(id); }
};
using File = UniqueHandle<IdTraits<H5Fclose>>;
using Object = UniqueHandle<IdTraits<H5Oclose>>;
using Dataset = UniqueHandle<IdTraits<H5Dclose>>;
using Dataspace = UniqueHandle<IdTraits<H5Sclose>>;
using Datatype = UniqueHandle<IdTraits<H5Tclose>>;
using Attribute = UniqueHandle<IdTraits<H5Aclose>>;
using PropertyList = UniqueHandle<IdTraits<H5Pclose>>;
using Driver = UniqueHandle<IdTraits<H5FDunregister>>;

/// How failures of HDF5 are reported from one operation of ours.
struct Context {
  ErrorKind kind = ErrorKind::data;
  std::string doing;
};

/// Switches HDF5's own printing of errors off for its lifetime.
class QuietErrors {
 public:
  QuietErrors();
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
  ~QuietErrors();

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// Throws Error(context.kind) with the messages of the HDF5 error stack, deepest first.
[[noreturn]] void throw_error(const Context& context, std::string_view call, std::source_location where);

template <class T>
T checked(T result, const Context& context, std::string_view call,
          std::source_location where = std::source_location::current()) {
  if (result < 0) [[unlikely]]
    throw_error(context, call, where);
  return result;
}

/// Where an HDF5 file lives: a descriptor that is written, or memory that is read.
struct Medium {
  int fd = -1;                         ///< for writing
  std::span<const std::byte> bytes{};  ///< for reading
  int error = 0;                       ///< errno of the first write that failed
  std::uint64_t end = 0;               ///< end of what was written
};

/// An access property list that keeps HDF5 files in `medium`, which must outlive it. When a write fails the
/// driver notes errno and goes on as if all were well, because HDF5 1.10 cannot close a file that it cannot
/// write: the caller looks at medium.error after closing.
class Access {
 public:
  Access(Medium& medium, const Context& context);
  [[nodiscard]] hid_t id() const noexcept { return list_.get(); }

 private:
  Driver driver_;  // before the list, which refers to it
  PropertyList list_;
};

}  // namespace twistor::store::hdf5

/// The result of an HDF5 call that must not be negative. One macro for the whole library.
#define TWISTOR_HDF5(context, function, ...) \
  ::twistor::store::hdf5::checked(function(__VA_ARGS__), context, #function)
