# SPDX-License-Identifier: Apache-2.0
# Tests of whole runs on models/tiny, with the real executable under mpirun.
if(TARGET twistor)
  # twistor_run_test(NAME TIMEOUT [LABELS...]): NAME.py
  function(twistor_run_test name timeout)
    add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/${name}.py
      $<TARGET_FILE:twistor> ${PROJECT_SOURCE_DIR} ${MPIEXEC_EXECUTABLE})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS "system;${ARGN}" PROCESSORS 2
      ENVIRONMENT "${TWISTOR_MPI_TEST_ENVIRONMENT};PYTHONDONTWRITEBYTECODE=1")
  endfunction()
  twistor_run_test(train_quickstart 120 quick)
  twistor_run_test(train_ranks 180)
  twistor_run_test(train_isa 120)
  set_tests_properties(train_isa PROPERTIES SKIP_RETURN_CODE 77)
  twistor_run_test(train_objectives 300)
  twistor_run_test(train_resume 240)
  twistor_run_test(train_signals 240)
  twistor_run_test(train_interrupts 240)
  twistor_run_test(train_kills 300)
  twistor_run_test(train_commands 120)
  twistor_run_test(train_files 120)
  twistor_run_test(policy_commands 240)
  twistor_run_test(sample_commands 240)
  twistor_run_test(train_bad_input 120)
  twistor_run_test(train_inputs 180)
  twistor_run_test(train_engines 240)
  twistor_run_test(train_bodies 240)
  twistor_run_test(train_positives 240)
endif()
