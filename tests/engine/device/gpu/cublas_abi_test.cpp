// Our declarations of cuBLAS against its own header; built only where that header is found.
#include <cublas_v2.h>
#include <doctest/doctest.h>

#include <type_traits>

#include "engine/device/cublas_abi.h"

namespace abi = swarm::engine::device::cublas;

namespace {

// An argument as it is passed: enumerations as int, handles and streams as plain pointers.
template <class T>
struct Passed {
  using type = std::conditional_t<std::is_enum_v<T>, int, T>;
  static_assert(!std::is_enum_v<T> || sizeof(T) == sizeof(int));
};
template <class T>
using passed = typename Passed<T>::type;
template <class T>
struct Passed<T*> {
  static constexpr bool kOpaque =
      std::is_same_v<T, CUstream_st> || std::is_same_v<T, cublasContext>;
  using type = std::conditional_t<kOpaque, void*, T*>;
};
template <>
struct Passed<cublasHandle_t*> {
  using type = void**;
};

template <class F>
struct Signature;
template <class R, class... A>
struct Signature<R(A...)> {
  using type = passed<R> (*)(passed<A>...);
};

template <class Theirs, class Ours>
constexpr bool same = std::is_same_v<typename Signature<Theirs>::type, Ours>;

static_assert(same<decltype(cublasCreate_v2), decltype(abi::Library::create)>);
static_assert(same<decltype(cublasDestroy_v2), decltype(abi::Library::destroy)>);
static_assert(same<decltype(cublasSetStream_v2), decltype(abi::Library::set_stream)>);
static_assert(same<decltype(cublasSetWorkspace_v2), decltype(abi::Library::set_workspace)>);
static_assert(same<decltype(cublasSetMathMode), decltype(abi::Library::set_math_mode)>);
static_assert(same<decltype(cublasGetProperty), decltype(abi::Library::get_property)>);
static_assert(same<decltype(cublasGetStatusName), decltype(abi::Library::status_name)>);
using GemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                              const void*, const void*, cudaDataType, int, const void*,
                              cudaDataType, int, const void*, void*, cudaDataType, int,
                              cublasComputeType_t, cublasGemmAlgo_t);
static_assert(same<GemmEx, decltype(abi::Library::gemm_ex)>);

}  // namespace

TEST_CASE("cublas: our constants and signatures are those of its header") {
  CHECK(abi::kStatusSuccess == CUBLAS_STATUS_SUCCESS);
  CHECK(abi::kOperationN == CUBLAS_OP_N);
  CHECK(abi::kOperationT == CUBLAS_OP_T);
  CHECK(abi::kF32 == CUDA_R_32F);
  CHECK(abi::kF16 == CUDA_R_16F);
  CHECK(abi::kBf16 == CUDA_R_16BF);
  CHECK(abi::kCompute32F == CUBLAS_COMPUTE_32F);
  CHECK(abi::kAlgorithmDefault == CUBLAS_GEMM_DEFAULT);
  CHECK(abi::kMathNoReducedPrecisionReduction == CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  CHECK(abi::kPropertyMajor == MAJOR_VERSION);
  CHECK(abi::kPropertyMinor == MINOR_VERSION);
  CHECK(abi::kPropertyPatch == PATCH_LEVEL);
  // cublasGemmEx is overloaded in C++; the address of the C function must be what we declared.
  GemmEx* const exact = &cublasGemmEx;
  static_cast<void>(exact);
}
