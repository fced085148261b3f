# SPDX-License-Identifier: Apache-2.0
# Finds LibTorch without asking for a CUDA toolkit: an unpacked LibTorch or a Python package folder "torch".
#
# Search order: LibTorch_ROOT (CMake or environment), then $TWISTOR_CACHE, then ~/.cache/twistor.
# Makes LibTorch::cpu and, where libtorch_cuda.so is present, LibTorch::cuda. Sets LibTorch_VERSION and LibTorch_HOME.

set(_libtorch_cache "$ENV{TWISTOR_CACHE}")
if(NOT _libtorch_cache)
  set(_libtorch_cache "$ENV{HOME}/.cache/twistor")
endif()
file(GLOB _libtorch_cached "${_libtorch_cache}/libtorch-*")
set(_libtorch_hints ${LibTorch_ROOT} $ENV{LibTorch_ROOT} ${_libtorch_cached})

find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h HINTS ${_libtorch_hints}
  PATH_SUFFIXES include torch/include NO_DEFAULT_PATH)
get_filename_component(_libtorch_home "${LibTorch_INCLUDE_DIR}" DIRECTORY)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${_libtorch_home}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${_libtorch_home}/lib NO_DEFAULT_PATH)
find_library(LibTorch_CUDA_LIBRARY torch_cuda HINTS ${_libtorch_home}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda HINTS ${_libtorch_home}/lib NO_DEFAULT_PATH)

set(LibTorch_HOME ${_libtorch_home})
set(LibTorch_VERSION "")
foreach(_file version.py build-version)
  if(EXISTS "${_libtorch_home}/${_file}")
    file(READ "${_libtorch_home}/${_file}" _libtorch_text)
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${_libtorch_text}")
    break()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE
    "run launch/setup.sh, which puts LibTorch into ~/.cache/twistor, or set LibTorch_ROOT to an unpacked LibTorch")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_C10_LIBRARY}")
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES
    IMPORTED_LOCATION "${LibTorch_CPU_LIBRARY}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR}"
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES LibTorch::c10)
  if(LibTorch_CUDA_LIBRARY)
    add_library(LibTorch::cuda INTERFACE IMPORTED)
    # libtorch_cuda registers its kernels when it is loaded, so the linker must keep it although nobody names a symbol.
    set_target_properties(LibTorch::cuda PROPERTIES
      INTERFACE_LINK_LIBRARIES LibTorch::cpu
      INTERFACE_LINK_OPTIONS
        "LINKER:--no-as-needed;${LibTorch_CUDA_LIBRARY};${LibTorch_C10_CUDA_LIBRARY};LINKER:--as-needed;LINKER:--allow-shlib-undefined")
  endif()
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_CUDA_LIBRARY
  LibTorch_C10_CUDA_LIBRARY)
