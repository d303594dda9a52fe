// engine/device/cublas_abi.h — The few functions and constants of cuBLAS 12 and 13 that are used,
// declared here so that neither the build nor the machine needs cuBLAS: the library is loaded when
// it is first wanted. Where cublas_v2.h is found at build time, tests/engine/device checks every
// line of this file against it. Source: cuBLAS manual, sections 2.2 to 2.8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/error.h"

namespace swarm::engine::device::cublas {

// Status and enumerations are passed as int, handles and streams as void*: the same registers.
inline constexpr int kStatusSuccess = 0;
inline constexpr int kOperationN = 0;                          // CUBLAS_OP_N
inline constexpr int kOperationT = 1;                          // CUBLAS_OP_T
inline constexpr int kF32 = 0;                                 // CUDA_R_32F
inline constexpr int kF16 = 2;                                 // CUDA_R_16F
inline constexpr int kBf16 = 14;                               // CUDA_R_16BF
inline constexpr int kCompute32F = 68;                         // CUBLAS_COMPUTE_32F
inline constexpr int kAlgorithmDefault = -1;                   // CUBLAS_GEMM_DEFAULT
inline constexpr int kMathNoReducedPrecisionReduction = 16;    // CUBLAS_MATH_DISALLOW_...
inline constexpr int kPropertyMajor = 0;                       // MAJOR_VERSION
inline constexpr int kPropertyMinor = 1;
inline constexpr int kPropertyPatch = 2;

struct Library {
  int (*create)(void** handle) = nullptr;
  int (*destroy)(void* handle) = nullptr;
  int (*set_stream)(void* handle, void* stream) = nullptr;
  int (*set_workspace)(void* handle, void* workspace, size_t bytes) = nullptr;
  int (*set_math_mode)(void* handle, int mode) = nullptr;
  int (*get_property)(int property, int* value) = nullptr;
  const char* (*status_name)(int status) = nullptr;
  int (*gemm_ex)(void* handle, int op_a, int op_b, int m, int n, int k, const void* alpha,
                 const void* a, int a_type, int lda, const void* b, int b_type, int ldb,
                 const void* beta, void* c, int c_type, int ldc, int compute,
                 int algorithm) = nullptr;
  std::string name = {};       // "cuBLAS 13.0.2"
};

// Loads libcublas.so.13 or .12 from where the dynamic linker looks, then from /usr/local/cuda.
// The library stays loaded until the process ends.
Result<Library> load();

}  // namespace swarm::engine::device::cublas
