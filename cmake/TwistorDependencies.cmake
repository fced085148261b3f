# SPDX-License-Identifier: Apache-2.0
# Everything from outside, found and never fetched: launch/setup.sh installs it. Installed with the package too (TwistorInstall.cmake).
set(HDF5_PREFER_PARALLEL ON)
find_package(LibTorch 2.4 REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
# The old C++ bindings, which mpi.h drags in otherwise, live in a library that nobody links.
target_compile_definitions(MPI::MPI_C INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
find_package(HDF5 REQUIRED COMPONENTS C)
# No call of ours needs MPI in HDF5, but the hdf5.h of a library that was built with it includes mpi.h.
if(HDF5_IS_PARALLEL)
  target_link_libraries(hdf5::hdf5 INTERFACE MPI::MPI_C)
endif()
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(fmt REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Threads REQUIRED)
if(NOT TWISTOR_FUZZ)  # fuzzers are built by a clang that may lack OpenMP, and run one thread each
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()
find_package(PkgConfig REQUIRED)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal)
