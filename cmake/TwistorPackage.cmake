# SPDX-License-Identifier: Apache-2.0
# cpack in the build folder makes a Debian package and a tarball of what `cmake --install` installs, and of the parts of LibTorch
# that the program needs: no Debian package has them. They lie in lib/twistor, where the program looks first. Configurations and the small
# models lie in share/twistor.
get_filename_component(torch_folder "${LibTorch_CPU_LIBRARY}" DIRECTORY)
install(CODE "
  file(GET_RUNTIME_DEPENDENCIES EXECUTABLES \"$<TARGET_FILE:twistor>\" RESOLVED_DEPENDENCIES_VAR found
    UNRESOLVED_DEPENDENCIES_VAR missing PRE_EXCLUDE_REGEXES \"^ld-linux\" POST_EXCLUDE_REGEXES \"^/usr/\" \"^/lib\")
  file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/twistor\" TYPE SHARED_LIBRARY FOLLOW_SYMLINK_CHAIN FILES \${found})"
  COMPONENT torch EXCLUDE_FROM_ALL)
# What the program is tried with: a configuration finds models/tiny beside its own folder.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs ${PROJECT_SOURCE_DIR}/models DESTINATION ${CMAKE_INSTALL_DATADIR}/twistor
  COMPONENT examples EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR "DEB;TGZ")
set(CPACK_PACKAGE_VENDOR "the twistor authors")
set(CPACK_PACKAGE_CONTACT "the twistor authors <twistor@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME twistor-${PROJECT_VERSION}-linux-x86_64)
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};twistor;ALL;/;${PROJECT_BINARY_DIR};twistor;torch;/;${PROJECT_BINARY_DIR};twistor;examples;/")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)  # Debian 12's dpkg reads it; half a minute faster than gzip, and smaller
set(CPACK_THREADS 0)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${torch_folder})
include(CPack)
