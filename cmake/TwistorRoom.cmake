# One static library a room, with the warnings and sanitizers that all of ours share.

add_library(twistor_options INTERFACE)
target_compile_options(twistor_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -fno-math-errno
  # A product and a sum are fused only where the source says so: otherwise the vector body and the scalar tail of one
  # loop could round differently, and a row's bits would depend on its place in the batch.
  -ffp-contract=off
  # GCC 12 sees overlapping copies in every "text" + std::string (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  $<$<BOOL:${TWISTOR_WERROR}>:-Werror>)
if(TWISTOR_CPU)
  target_compile_options(twistor_options INTERFACE -march=${TWISTOR_CPU})
endif()
target_include_directories(twistor_options INTERFACE ${PROJECT_SOURCE_DIR}/include)
# -fopenmp by name: the run-time path then finds LibTorch's libgomp first, and there is one of it.
target_compile_options(twistor_options INTERFACE ${OpenMP_CXX_FLAGS})
target_link_options(twistor_options INTERFACE ${OpenMP_CXX_FLAGS})
target_link_libraries(twistor_options INTERFACE Threads::Threads)
if(TWISTOR_SANITIZE)
  target_compile_options(twistor_options INTERFACE -fsanitize=${TWISTOR_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(twistor_options INTERFACE -fsanitize=${TWISTOR_SANITIZE})
endif()

# The Torch headers that sources include are parsed once.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch.cpp CONTENT "// Only here so that the precompiled header has an owner.\n")
add_library(twistor_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
target_link_libraries(twistor_pch PRIVATE twistor_options LibTorch::cpu)
target_precompile_headers(twistor_pch PRIVATE <ATen/ATen.h> <algorithm> <cmath> <map> <memory> <span> <string> <vector>)

# twistor_room(NAME [USES rooms...] [LIBRARIES public...] [PRIVATE_LIBRARIES ...] [EXCLUDE files...] [TENSORS])
function(twistor_room name)
  cmake_parse_arguments(ARG "TENSORS" "" "USES;LIBRARIES;PRIVATE_LIBRARIES;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  foreach(file IN LISTS ARG_EXCLUDE)
    list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/${name}/${file})
  endforeach()
  list(TRANSFORM ARG_USES PREPEND twistor::)
  if(NOT sources)
    add_library(twistor_${name} INTERFACE)
    target_link_libraries(twistor_${name} INTERFACE ${ARG_USES} ${ARG_LIBRARIES})
  else()
    add_library(twistor_${name} STATIC ${sources})
    target_link_libraries(twistor_${name} PUBLIC twistor_options ${ARG_USES} ${ARG_LIBRARIES}
      PRIVATE ${ARG_PRIVATE_LIBRARIES})
    if(ARG_TENSORS)
      target_link_libraries(twistor_${name} PUBLIC LibTorch::cpu)
      target_precompile_headers(twistor_${name} REUSE_FROM twistor_pch)
    endif()
  endif()
  add_library(twistor::${name} ALIAS twistor_${name})
endfunction()
