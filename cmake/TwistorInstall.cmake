# SPDX-License-Identifier: Apache-2.0
# install(): headers, libraries and the program, with a CMake package, so that find_package(twistor) gives twistor::app and the
# other rooms to programs of others. The package finds what twistor was built with by the same files as this build.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/twistor)
set(targets twistor_options twistor_revision)
get_property(rooms GLOBAL PROPERTY TWISTOR_ROOMS)
foreach(room IN LISTS rooms)
  list(APPEND targets twistor_${room})
endforeach()
if(TARGET twistor_fmt)
  list(APPEND targets twistor_fmt)
endif()
foreach(target IN LISTS targets)
  string(REGEX REPLACE "^twistor_" "" name ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
endforeach()

# The program finds LibTorch beside itself, where packages put it, or else where the build found it.
file(RELATIVE_PATH from_program_to_libraries ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR}/twistor)
set_target_properties(twistor PROPERTIES INSTALL_RPATH "$ORIGIN/${from_program_to_libraries}" INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS twistor ${targets} EXPORT twistor_targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/twistor TYPE INCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE TYPE DOC)
# Completion for bash and the manual page, as the program itself prints them.
set(words ${PROJECT_BINARY_DIR}/words)
install(CODE "
  file(MAKE_DIRECTORY \"${words}\")
  execute_process(COMMAND \"$<TARGET_FILE:twistor>\" completion bash OUTPUT_FILE \"${words}/twistor\" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND \"$<TARGET_FILE:twistor>\" man OUTPUT_FILE \"${words}/twistor.1\" COMMAND_ERROR_IS_FATAL ANY)")
install(FILES ${words}/twistor DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${words}/twistor.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(EXPORT twistor_targets NAMESPACE twistor:: FILE twistor-targets.cmake DESTINATION ${package_folder})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/twistor-config.cmake.in ${PROJECT_BINARY_DIR}/twistor-config.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change headers.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/twistor-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/twistor-config.cmake ${PROJECT_BINARY_DIR}/twistor-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/TwistorDependencies.cmake ${PROJECT_SOURCE_DIR}/cmake/FindLibTorch.cmake
  DESTINATION ${package_folder})
