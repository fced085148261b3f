# SPDX-License-Identifier: Apache-2.0
# LibTorch carries its own fmt headers, newer than the system's library: whoever sees them takes fmt from them alone. Their
# compiled part is built once, into twistor_fmt, where that is known to fit the headers' version; else in every source.
try_compile(TWISTOR_FMT_COMPILES
  SOURCES ${PROJECT_SOURCE_DIR}/cmake/fmt_of_libtorch.cpp ${PROJECT_SOURCE_DIR}/cmake/fmt_of_libtorch_check.cpp
  CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${LibTorch_INCLUDE_DIR}"
  CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
if(TWISTOR_FMT_COMPILES)
  add_library(twistor_fmt STATIC ${PROJECT_SOURCE_DIR}/cmake/fmt_of_libtorch.cpp)
  target_include_directories(twistor_fmt SYSTEM PRIVATE ${LibTorch_INCLUDE_DIR})
  set_property(TARGET LibTorch::cpu APPEND PROPERTY INTERFACE_LINK_LIBRARIES twistor_fmt)
else()
  set_property(TARGET LibTorch::cpu PROPERTY INTERFACE_COMPILE_DEFINITIONS FMT_HEADER_ONLY=1)
endif()
