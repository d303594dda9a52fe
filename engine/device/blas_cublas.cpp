// cuBLAS behind Blas. It thinks in columns: a row-major [rows, cols] matrix is its column-major
// [cols, rows], so y = x * weight^T is computed as y^T = weight * x^T without moving anything.
#include <dlfcn.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "engine/device/blas_impl.h"
#include "engine/device/cublas_abi.h"

namespace swarm::engine::device {
namespace cublas {
namespace {

void* open_library(std::string& tried) {
  for (const char* folder : {"", "/usr/local/cuda/lib64/"})
    for (const char* version : {"13", "12"}) {
      const std::string folder_text = folder;
      // A library opened by its path may not find its neighbour by itself.
      if (!folder_text.empty())
        dlopen((folder_text + "libcublasLt.so." + version).c_str(), RTLD_NOW | RTLD_GLOBAL);
      const std::string path = folder_text + "libcublas.so." + version;
      if (void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
      tried += (tried.empty() ? "" : ", ") + path;
    }
  return nullptr;
}

template <class Function>
void resolve(void* library, const char* symbol, Function*& out, std::string& missing) {
  out = reinterpret_cast<Function*>(dlsym(library, symbol));
  if (out == nullptr) missing += std::string(" ") + symbol;
}

}  // namespace

Result<Library> load() {
  std::string tried, missing;
  void* const library = open_library(tried);
  if (library == nullptr) return environment_error("cuBLAS not found: tried " + tried);
  Library out;
  resolve(library, "cublasCreate_v2", out.create, missing);
  resolve(library, "cublasDestroy_v2", out.destroy, missing);
  resolve(library, "cublasSetStream_v2", out.set_stream, missing);
  resolve(library, "cublasSetWorkspace_v2", out.set_workspace, missing);
  resolve(library, "cublasSetMathMode", out.set_math_mode, missing);
  resolve(library, "cublasGetProperty", out.get_property, missing);
  resolve(library, "cublasGetStatusName", out.status_name, missing);
  resolve(library, "cublasGemmEx", out.gemm_ex, missing);
  if (!missing.empty()) return environment_error("cuBLAS lacks" + missing);
  int version[3] = {};
  for (const int part : {kPropertyMajor, kPropertyMinor, kPropertyPatch})
    if (out.get_property(part, &version[part]) != kStatusSuccess)
      return environment_error("cuBLAS does not tell its version");
  out.name = "cuBLAS " + std::to_string(version[0]) + "." + std::to_string(version[1]) + "." +
             std::to_string(version[2]);
  return out;
}

}  // namespace cublas

namespace {

class CublasBlas final : public Blas {
 public:
  CublasBlas(Stream& stream, cublas::Library library, void* handle)
      : stream_(stream), library_(std::move(library)), handle_(handle) {}
  ~CublasBlas() override { library_.destroy(handle_); }
  CublasBlas(const CublasBlas&) = delete;
  CublasBlas& operator=(const CublasBlas&) = delete;

  void gemm(const GemmArgs& args) override {
    const DenseGemm g = check(args);
    SWARM_CHECK(std::max({g.x_stride, g.weight_stride, g.y_stride}) <= INT_MAX);
    if (g.tokens == 0 || stream_.device().lost()) return;
    const int type = g.input == GemmInput::f16 ? cublas::kF16 : cublas::kBf16;
    const float alpha = 1, beta = g.output == GemmOutput::add ? 1 : 0;
    const int status = library_.gemm_ex(
        handle_, cublas::kOperationT, cublas::kOperationN, static_cast<int>(g.rows),
        static_cast<int>(g.tokens), static_cast<int>(g.cols), &alpha, g.weight, type,
        static_cast<int>(g.weight_stride), g.x, type, static_cast<int>(g.x_stride), &beta, g.y,
        cublas::kF32, static_cast<int>(g.y_stride), cublas::kCompute32F,
        cublas::kAlgorithmDefault);
    if (status != cublas::kStatusSuccess)
      stream_.device().declare_lost(std::string("cublasGemmEx: ") + library_.status_name(status));
  }
  std::string name() const override { return library_.name; }

 private:
  Stream& stream_;
  cublas::Library library_;
  void* handle_;
};

}  // namespace

Result<std::string> blas_library() {
  SWARM_TRY(const cublas::Library library, cublas::load());
  return library.name;
}

Result<std::unique_ptr<Blas>> open_cublas(Device& device, Stream& stream,
                                          DeviceSpan<std::byte> workspace) {
  if (device.lost()) return device.lost_error();
  SWARM_CHECK(workspace.size() >= blas_workspace_bytes(device.info()), workspace.size());
  SWARM_TRY(cublas::Library library, cublas::load());
  const auto refused = [&](const char* call, int status) {
    return environment_error(std::string(call) + ": " + library.status_name(status));
  };
  void* handle = nullptr;
  if (const int status = library.create(&handle); status != cublas::kStatusSuccess)
    return refused("cublasCreate", status);
  auto blas = std::make_unique<CublasBlas>(stream, library, handle);
  if (const int status = library.set_stream(handle, stream.native());
      status != cublas::kStatusSuccess)
    return refused("cublasSetStream", status);
  // After set_stream, which forgets it. Its own workspace keeps cuBLAS from allocating in a step,
  // and its results the same from call to call.
  if (const int status =
          library.set_workspace(handle, workspace.kernel_pointer(), workspace.size());
      status != cublas::kStatusSuccess)
    return refused("cublasSetWorkspace", status);
  if (const int status =
          library.set_math_mode(handle, cublas::kMathNoReducedPrecisionReduction);
      status != cublas::kStatusSuccess)
    return refused("cublasSetMathMode", status);
  return std::unique_ptr<Blas>(std::move(blas));
}

}  // namespace swarm::engine::device
