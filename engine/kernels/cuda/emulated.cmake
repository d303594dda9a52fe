# swarm_emulated(NAME ...) is swarm_target(NAME ...) whose .cu sources are compiled as C++ for the
# emulator. Sources are named with SOURCES; link swarm_simt.
function(swarm_emulated name)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  foreach(source ${ARG_SOURCES})
    if(source MATCHES "\\.cu$")
      set_source_files_properties(${source} PROPERTIES LANGUAGE CXX)
    endif()
  endforeach()
  swarm_target(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)      # every kernel has its own kThreads
  target_compile_options(${name} PRIVATE -Wno-unknown-pragmas)   # "#pragma unroll" is nvcc's
endfunction()
