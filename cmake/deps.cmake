# deps.cmake: the libraries that are sources in Python packages, and Arrow C++ from the pyarrow wheel.
#
# yyjson and nanoarrow have no Debian package; their sources come with packages of the Python registry, pinned here.

find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)

set(IST_DEPS_DIR "${CMAKE_SOURCE_DIR}/build/deps" CACHE PATH "Where sources of dependencies are unpacked")

function(ist_fetch_sdist name version hash out)
  set(dir "${IST_DEPS_DIR}/${name}-${version}")
  if(NOT EXISTS "${dir}/PKG-INFO")
    message(STATUS "Fetching ${name} ${version}")
    file(MAKE_DIRECTORY "${IST_DEPS_DIR}")
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --no-deps --no-binary ${name} --dest "${IST_DEPS_DIR}"
              "${name}==${version}" COMMAND_ERROR_IS_FATAL ANY)
    file(SHA256 "${IST_DEPS_DIR}/${name}-${version}.tar.gz" got)
    if(NOT got STREQUAL hash)
      message(FATAL_ERROR "${name}-${version}.tar.gz: SHA-256 is ${got}, expected ${hash}")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${IST_DEPS_DIR}/${name}-${version}.tar.gz" DESTINATION "${IST_DEPS_DIR}")
  endif()
  set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# yyjson
ist_fetch_sdist(yyjson 4.0.6 fcd4dc15c1e39a30bf9fa85d56903029111506860fc3080ab0d81c6c6dacaa8c yyjson_dir)
add_library(ist_yyjson OBJECT "${yyjson_dir}/yyjson/yyjson.c")
target_include_directories(ist_yyjson SYSTEM PUBLIC "${yyjson_dir}/yyjson")
target_compile_options(ist_yyjson PRIVATE -w -O3)

# nanoarrow (core only: arrays, schemas, streams)
ist_fetch_sdist(nanoarrow 0.9.0 1ce15bbed8532839347faa78824c5dbd3769bff60661003e34c6fba5dd881bd3 nanoarrow_sdist)
set(nanoarrow_dir "${nanoarrow_sdist}/subprojects/arrow-nanoarrow/src")
set(NANOARROW_VERSION "0.9.0")
set(NANOARROW_VERSION_MAJOR 0)
set(NANOARROW_VERSION_MINOR 9)
set(NANOARROW_VERSION_PATCH 0)
set(NANOARROW_NAMESPACE_DEFINE "#define NANOARROW_NAMESPACE IstNano")
configure_file("${nanoarrow_dir}/nanoarrow/nanoarrow_config.h.in"
               "${CMAKE_BINARY_DIR}/nanoarrow/nanoarrow/nanoarrow_config.h")
add_library(ist_nanoarrow OBJECT
  "${nanoarrow_dir}/nanoarrow/common/array.c" "${nanoarrow_dir}/nanoarrow/common/array_stream.c"
  "${nanoarrow_dir}/nanoarrow/common/schema.c" "${nanoarrow_dir}/nanoarrow/common/utils.c")
target_include_directories(ist_nanoarrow SYSTEM PUBLIC "${CMAKE_BINARY_DIR}/nanoarrow" "${nanoarrow_dir}")
target_compile_options(ist_nanoarrow PRIVATE -w -O3)

foreach(lib ist_yyjson ist_nanoarrow)
  set_target_properties(${lib} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
endforeach()

# Arrow C++ in the pyarrow wheel
execute_process(COMMAND "${Python_EXECUTABLE}" -c "import pyarrow; print(pyarrow.__path__[0])"
                OUTPUT_VARIABLE pyarrow_dir OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
add_library(ist_arrow INTERFACE)
target_include_directories(ist_arrow SYSTEM INTERFACE "${pyarrow_dir}/include")
target_link_libraries(ist_arrow INTERFACE "${pyarrow_dir}/libarrow.so.2600" "${pyarrow_dir}/libparquet.so.2600"
                                          "${pyarrow_dir}/libarrow_compute.so.2600")

# Debian's libraries
find_package(Threads REQUIRED)
find_package(CURL REQUIRED)
find_package(EXPAT REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(OpenSSL REQUIRED)
find_library(MICROHTTPD_LIBRARY microhttpd REQUIRED)

