# SPDX-License-Identifier: Apache-2.0
# twistor_unit_tests(ROOM): tests/unit/ROOM/*.cpp become one executable, unit_ROOM, linked with that room.
# twistor_mpi_tests(ROOM NP...): tests/mpi/ROOM/*.cpp become mpi_ROOM, run under mpirun at each rank count.

file(STRINGS ${PROJECT_SOURCE_DIR}/launch/openmpi.env TWISTOR_OPENMPI_ENVIRONMENT REGEX "^OMPI_")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/launch/openmpi.env)
set(TWISTOR_MPI_TEST_ENVIRONMENT ${TWISTOR_OPENMPI_ENVIRONMENT} "OMPI_MCA_mpi_yield_when_idle=1" "OMP_NUM_THREADS=1"
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
  "ASAN_OPTIONS=fast_unwind_on_malloc=0:detect_odr_violation=0"
  "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/lsan.supp"
  # The C library fills memory that it hands out (0x7f: 3.4e38 as float32) and takes back (0x80): whoever reads what nobody
  # wrote, or what is gone, fails on every machine and not on one in a hundred.
  "MALLOC_PERTURB_=128")
# The launcher of tests, for which that does not hold.
set(TWISTOR_TEST_MPIEXEC ${PROJECT_BINARY_DIR}/tests/mpiexec)
configure_file(${PROJECT_SOURCE_DIR}/tests/support/mpiexec.sh.in ${TWISTOR_TEST_MPIEXEC} @ONLY)

# Tests are compiled with little optimisation: what they call is optimised, and they themselves run once.
twistor_pch(twistor_test_pch LIBRARIES fmt::fmt LibTorch::cpu GTest::gmock OPTIONS -O1
  HEADERS ${TWISTOR_PCH_STD} ${TWISTOR_PCH_TORCH} ${TWISTOR_PCH_GTEST})
twistor_pch(twistor_light_test_pch LIBRARIES fmt::fmt nlohmann_json::nlohmann_json GTest::gmock OPTIONS -O1
  HEADERS ${TWISTOR_PCH_STD} ${TWISTOR_PCH_LIGHT} ${TWISTOR_PCH_GTEST})

function(twistor_test_executable target room)
  add_executable(${target} ${ARGN})
  target_compile_options(${target} PRIVATE -O1)
  target_link_libraries(${target} PRIVATE twistor::${room} twistor_options GTest::gmock)
  target_compile_definitions(${target} PRIVATE TWISTOR_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    TWISTOR_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)  # "potential/kinds/regex.hpp": private headers
  target_link_libraries(${target} PRIVATE $<TARGET_NAME_IF_EXISTS:nlohmann_json::nlohmann_json>)
  if(room STREQUAL "smc")  # the problem whose answers are known is enumerated
    target_link_libraries(${target} PRIVATE twistor::exact)
  endif()
  if(room MATCHES "model|potential|exact|twist|smc|estimate|learn|report|app")
    target_link_libraries(${target} PRIVATE LibTorch::cpu)
    target_precompile_headers(${target} REUSE_FROM twistor_test_pch)
  else()
    target_precompile_headers(${target} REUSE_FROM twistor_light_test_pch)
  endif()
endfunction()

function(twistor_unit_tests room)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/unit/${room}/*.cpp)
  if(NOT sources)
    return()
  endif()
  twistor_test_executable(unit_${room} ${room} ${sources})
  target_link_libraries(unit_${room} PRIVATE GTest::gmock_main)
  add_test(NAME unit_${room} COMMAND unit_${room})
  set(limit 600)
  if(TWISTOR_SANITIZE)  # sanitizers take ten times as long
    set(limit 3600)
  endif()
  set_tests_properties(unit_${room} PROPERTIES TIMEOUT ${limit} LABELS unit ENVIRONMENT "${TWISTOR_MPI_TEST_ENVIRONMENT}")
endfunction()

function(twistor_mpi_tests room)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/mpi/${room}/*.cpp)
  if(NOT sources)
    return()
  endif()
  twistor_test_executable(mpi_${room} ${room} ${sources} ${PROJECT_SOURCE_DIR}/tests/support/mpi_main.cpp)
  foreach(np IN LISTS ARGN)
    set(seconds 290)
    if(np EQUAL 1)  # what learns for long does so on one rank alone
      set(seconds 590)
    endif()
    set(environment ${TWISTOR_MPI_TEST_ENVIRONMENT})
    if(np EQUAL 2)  # what is taken back becomes NaN (0xff)
      list(TRANSFORM environment REPLACE "^MALLOC_PERTURB_=.*" "MALLOC_PERTURB_=255")
    endif()
    math(EXPR limit "${seconds} + 10")
    add_test(NAME mpi_${room}_np${np}
      COMMAND ${TWISTOR_TEST_MPIEXEC} --timeout ${seconds} ${MPIEXEC_NUMPROC_FLAG} ${np} $<TARGET_FILE:mpi_${room}>)
    set_tests_properties(mpi_${room}_np${np} PROPERTIES PROCESSORS ${np} TIMEOUT ${limit} LABELS mpi ENVIRONMENT "${environment}")
  endforeach()
endfunction()
