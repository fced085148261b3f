# SPDX-License-Identifier: Apache-2.0
# One static library a room, with the warnings and sanitizers that all of ours share.

# ccache where it stands; the sloppiness is what it needs to share precompiled headers.
find_program(TWISTOR_CCACHE ccache)
if(TWISTOR_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${TWISTOR_CCACHE})
endif()

add_library(twistor_options INTERFACE)
# Clang takes a name that only a neighbour in a unity file has for a shadowed one; builds without unity files look.
set(shadow_is_seen "$<NOT:$<AND:$<CXX_COMPILER_ID:Clang>,$<BOOL:$<TARGET_PROPERTY:UNITY_BUILD>>>>")
# BUILD_INTERFACE: what programs that use an installed twistor do not take over.
target_compile_options(twistor_options INTERFACE
  "$<BUILD_INTERFACE:-Wall;-Wextra;-Wpedantic;$<${shadow_is_seen}:-Wshadow>;-Wconversion;-Wnon-virtual-dtor;-fno-math-errno>"
  # Nobody reads the processor's floating-point exceptions; where it had to keep them GCC makes no vectors of comparisons.
  $<BUILD_INTERFACE:-fno-trapping-math>
  # A product and a sum are fused only where the source says so: otherwise the vector body and the scalar tail of one
  # loop could round differently, and a row's bits would depend on its place in the batch.
  -ffp-contract=off
  # GCC 12 sees overlapping copies and copies of impossible sizes in every "text" + std::string (its bug 105651).
  $<BUILD_INTERFACE:$<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict$<SEMICOLON>-Wno-stringop-overflow$<SEMICOLON>-Wno-array-bounds>>
  $<BUILD_INTERFACE:$<$<BOOL:${TWISTOR_WERROR}>:-Werror>>)
if(TWISTOR_CPU)
  target_compile_options(twistor_options INTERFACE $<BUILD_INTERFACE:-march=${TWISTOR_CPU}>)
endif()
target_include_directories(twistor_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# -fopenmp by name: the run-time path then finds LibTorch's libgomp first, and there is one of it.
target_compile_options(twistor_options INTERFACE ${OpenMP_CXX_FLAGS})
target_link_options(twistor_options INTERFACE ${OpenMP_CXX_FLAGS})
target_link_libraries(twistor_options INTERFACE Threads::Threads)
if(TWISTOR_SANITIZE)
  target_compile_options(twistor_options INTERFACE -fsanitize=${TWISTOR_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(twistor_options INTERFACE -fsanitize=${TWISTOR_SANITIZE})
endif()

# What most sources include is parsed once: with Torch's headers (twistor_pch) and without (twistor_light_pch), and each again
# with GoogleTest for the tests. Headers still include what they use: the test headers_alone compiles each by itself.
set(TWISTOR_PCH_STD <algorithm> <cmath> <filesystem> <functional> <map> <memory> <optional> <span> <string> <variant> <vector>)
set(TWISTOR_PCH_TORCH <ATen/core/Tensor.h> <ATen/ops/cat.h> <ATen/ops/empty.h> <ATen/ops/from_blob.h> <ATen/ops/full.h>
  <ATen/ops/index_select.h> <ATen/ops/log_softmax.h> <ATen/ops/zeros.h> <fmt/format.h> <fmt/ranges.h>)
set(TWISTOR_PCH_LIGHT <fmt/format.h> <fmt/ranges.h> <nlohmann/json.hpp>)
set(TWISTOR_PCH_GTEST <gmock/gmock.h> <gtest/gtest.h>)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch.cpp CONTENT "// Only here so that the precompiled header has an owner.\n")

# twistor_pch(NAME [LIBRARIES libraries...] [OPTIONS options...] HEADERS headers...)
function(twistor_pch name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;OPTIONS;HEADERS" ${ARGN})
  add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
  target_link_libraries(${name} PRIVATE twistor_options ${ARG_LIBRARIES})
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()
twistor_pch(twistor_pch LIBRARIES fmt::fmt LibTorch::cpu HEADERS ${TWISTOR_PCH_STD} ${TWISTOR_PCH_TORCH})
twistor_pch(twistor_light_pch LIBRARIES fmt::fmt nlohmann_json::nlohmann_json HEADERS ${TWISTOR_PCH_STD} ${TWISTOR_PCH_LIGHT})

# The sources of a room lie in its folder and in folders of it, one level down.
# UNITY: sources are compiled eight at a time (TWISTOR_UNITY), which halves the work where Torch's headers are most of it;
# what they name in anonymous namespaces must then differ.
# twistor_room(NAME [USES rooms...] [LIBRARIES public...] [PRIVATE_LIBRARIES ...] [EXCLUDE files...] [TENSORS] [UNITY])
function(twistor_room name)
  cmake_parse_arguments(ARG "TENSORS;UNITY" "" "USES;LIBRARIES;PRIVATE_LIBRARIES;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp ${PROJECT_SOURCE_DIR}/src/${name}/*/*.cpp)
  foreach(file IN LISTS ARG_EXCLUDE)
    list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/${name}/${file})
  endforeach()
  list(TRANSFORM ARG_USES PREPEND twistor::)
  if(NOT sources)
    add_library(twistor_${name} INTERFACE)
    target_link_libraries(twistor_${name} INTERFACE ${ARG_USES} ${ARG_LIBRARIES})
  else()
    add_library(twistor_${name} STATIC ${sources})
    if(ARG_UNITY AND TWISTOR_UNITY)
      set_target_properties(twistor_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    endif()
    target_link_libraries(twistor_${name} PUBLIC twistor_options ${ARG_USES} ${ARG_LIBRARIES}
      PRIVATE ${ARG_PRIVATE_LIBRARIES})
    if(ARG_TENSORS)
      target_link_libraries(twistor_${name} PUBLIC LibTorch::cpu)
      target_precompile_headers(twistor_${name} REUSE_FROM twistor_pch)
    else()
      target_precompile_headers(twistor_${name} REUSE_FROM twistor_light_pch)
    endif()
  endif()
  add_library(twistor::${name} ALIAS twistor_${name})
  set_property(GLOBAL APPEND PROPERTY TWISTOR_ROOMS ${name})
endfunction()

# twistor_kernels(ISA flags...): src/device/cpu/ISA/*.cpp join the room device, those flags in place of
# TWISTOR_CPU.
function(twistor_kernels isa)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/cpu/${isa}/*.cpp)
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${ARGN}" SKIP_PRECOMPILE_HEADERS ON)
  target_sources(twistor_device PRIVATE ${sources})
endfunction()
