# SPDX-License-Identifier: Apache-2.0
# twistor_revision: one generated source that tells the commit. It is looked up in each build, because a commit alone configures
# nothing anew, but written only when it has changed: then this source is compiled and programs that write files are linked.
# Run as a script (cmake -D SOURCE=... -D OUTPUT=... -P) it writes that source.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  execute_process(COMMAND git -c safe.directory=* describe --always --dirty --abbrev=12 --exclude=*
    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  # A folder inside somebody else's clone is none of ours.
  if(failed OR NOT EXISTS ${SOURCE}/.git)
    set(revision unknown)
  endif()
  file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT "// The commit that this build is of.
#include \"twistor/store/version.hpp\"

namespace twistor::store {

std::string_view program_revision() noexcept {
  return \"@revision@\";
}

}  // namespace twistor::store
")
  return()
endif()

set(revision_source ${PROJECT_BINARY_DIR}/revision.cpp)
add_custom_target(twistor_revision_source BYPRODUCTS ${revision_source} COMMENT ""
  COMMAND ${CMAKE_COMMAND} -D SOURCE=${PROJECT_SOURCE_DIR} -D OUTPUT=${revision_source} -P ${CMAKE_CURRENT_LIST_FILE})
add_library(twistor_revision STATIC ${revision_source})
add_dependencies(twistor_revision twistor_revision_source)
target_link_libraries(twistor_revision PRIVATE twistor_options)
