# SPDX-License-Identifier: Apache-2.0
# Tests of the command line, with the real executable.
if(TARGET twistor)
  add_test(NAME cli_commands COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/cli_commands.py
    $<TARGET_FILE:twistor> ${PROJECT_SOURCE_DIR} ${TWISTOR_TEST_MPIEXEC})
  set_tests_properties(cli_commands PROPERTIES TIMEOUT 300 LABELS "system;quick"
    ENVIRONMENT "${TWISTOR_MPI_TEST_ENVIRONMENT}")
endif()
