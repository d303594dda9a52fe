# Decides whether this build has CUDA, and for which cards. Sets SWARM_HAS_CUDA and
# SWARM_CUDA_ARCHITECTURES_TEXT, and defines swarm_cuda_target(). Said once per build folder.
set(SWARM_CUDA AUTO CACHE STRING "CUDA backend: AUTO (when nvcc is there and works), ON or OFF")
set(SWARM_CUDA_ARCHITECTURES "" CACHE STRING
  "compute capabilities, such as 80;90a;100;120; native = the cards of this machine; empty = native \
where there is a card, else 80;90a;120")

# Lets compute-sanitizer and profilers name source lines; costs no speed, but most of the size.
option(SWARM_CUDA_LINEINFO "source lines in the code for cards" ON)

# The architectures of this machine's cards, "" without any. CMake's own "native" says 90 for Hopper,
# whose matrix and copy instructions need 90a.
function(swarm_cards out)
  set(found "")
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE code TIMEOUT 60)
  if(code EQUAL 0)
    string(REGEX MATCHALL "[0-9]+\\.[0-9]+" capabilities "${text}")
    foreach(capability ${capabilities})
      string(REPLACE "." "" arch ${capability})
      if(arch EQUAL 90)
        set(arch 90a)
      endif()
      list(APPEND found ${arch})
    endforeach()
    list(REMOVE_DUPLICATES found)
  endif()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

set(SWARM_HAS_CUDA FALSE)
if(SWARM_CUDA)   # AUTO and ON
  include(CheckLanguage)
  find_program(SWARM_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
  if(SWARM_NVCC AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${SWARM_NVCC})   # where check_language() and enable_language() look
  endif()
  set(wanted "${SWARM_CUDA_ARCHITECTURES}")
  if(NOT wanted OR wanted STREQUAL "native")
    swarm_cards(cards)
    if(NOT cards AND wanted STREQUAL "native")
      message(FATAL_ERROR "SWARM_CUDA_ARCHITECTURES=native: nvidia-smi finds no card")
    endif()
    set(SWARM_CUDA_ARCHITECTURES ${cards})
    if(NOT cards)
      set(SWARM_CUDA_ARCHITECTURES 80 90a 120)
    endif()
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${SWARM_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER} CACHE FILEPATH "host compiler of nvcc")
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(CCACHE)
      set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)   # CMake 3.25 does not know that nvcc has it
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(SWARM_HAS_CUDA TRUE)
    list(JOIN SWARM_CUDA_ARCHITECTURES " " SWARM_CUDA_ARCHITECTURES_TEXT)
    message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${SWARM_CUDA_ARCHITECTURES_TEXT}")
  elseif(SWARM_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA: no working nvcc, building for the CPU only")
  else()
    message(FATAL_ERROR "SWARM_CUDA=${SWARM_CUDA}, but there is no working nvcc")
  endif()
endif()

# swarm_cuda_target(NAME SOURCES *.cu [LINKS ...]): a static library compiled by nvcc, warnings are
# errors. The flags of swarm_target() are GCC's and stay away from it.
function(swarm_cuda_target name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  set_source_files_properties(${ARG_SOURCES} PROPERTIES LANGUAGE CUDA)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
    CUDA_EXTENSIONS OFF CUDA_RUNTIME_LIBRARY Static POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${name} PRIVATE --expt-relaxed-constexpr
    -Werror=all-warnings -Xcompiler=-Wall,-Wextra --compress-mode=size)
  if(SWARM_CUDA_LINEINFO)
    target_compile_options(${name} PRIVATE -lineinfo)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
  add_dependencies(cuda_code ${name})
endfunction()
