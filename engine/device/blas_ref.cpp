// Host memory: sums in double, rounded once. The oracle of the cuBLAS path.
#include "engine/device/blas_impl.h"
#include "engine/formats/block_types.h"

namespace swarm::engine::device {
namespace {

double element(GemmInput type, uint16_t bits) {
  return type == GemmInput::f16 ? formats::f16_to_f32(bits) : formats::bf16_to_f32(bits);
}

void multiply(const DenseGemm& g) {
  for (int64_t t = 0; t < g.tokens; ++t)
    for (int64_t r = 0; r < g.rows; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < g.cols; ++c)
        sum += element(g.input, g.x[t * g.x_stride + c]) *
               element(g.input, g.weight[r * g.weight_stride + c]);
      float& y = g.y[t * g.y_stride + r];
      y = static_cast<float>(g.output == GemmOutput::add ? sum + static_cast<double>(y) : sum);
    }
}

class HostBlas final : public Blas {
 public:
  explicit HostBlas(Stream& stream) : stream_(stream) {}
  void gemm(const GemmArgs& args) override {
    if (stream_.device().lost()) return;
    const DenseGemm g = check(args);
    stream_.host()->run([g] { multiply(g); });
  }
  std::string name() const override { return "host"; }

 private:
  Stream& stream_;
};

// Elements from the first to behind the last of a matrix.
size_t extent(int64_t rows, int64_t cols, int64_t stride) {
  return rows == 0 ? 0 : static_cast<size_t>((rows - 1) * stride + cols);
}

}  // namespace

DenseGemm check(const GemmArgs& args) {
  SWARM_CHECK(args.tokens >= 0, args.tokens);
  SWARM_CHECK(args.rows > 0, args.rows);
  SWARM_CHECK(args.cols > 0, args.cols);
  const DenseGemm g{.input = args.input,
                    .output = args.output,
                    .tokens = args.tokens,
                    .rows = args.rows,
                    .cols = args.cols,
                    .x = args.x.kernel_pointer(),
                    .weight = args.weight.kernel_pointer(),
                    .y = args.y.kernel_pointer(),
                    .x_stride = args.x_stride == 0 ? args.cols : args.x_stride,
                    .weight_stride = args.weight_stride == 0 ? args.cols : args.weight_stride,
                    .y_stride = args.y_stride == 0 ? args.rows : args.y_stride};
  SWARM_CHECK(g.x_stride >= g.cols, g.x_stride, g.cols);
  SWARM_CHECK(g.weight_stride >= g.cols, g.weight_stride, g.cols);
  SWARM_CHECK(g.y_stride >= g.rows, g.y_stride, g.rows);
  SWARM_CHECK(extent(g.tokens, g.cols, g.x_stride) <= args.x.size(), args.x.size());
  SWARM_CHECK(extent(g.rows, g.cols, g.weight_stride) <= args.weight.size(), args.weight.size());
  SWARM_CHECK(extent(g.tokens, g.rows, g.y_stride) <= args.y.size(), args.y.size());
  return g;
}

Result<std::unique_ptr<Blas>> Blas::open(Device& device, Stream& stream,
                                         DeviceSpan<std::byte> workspace) {
  if (device.info().kind == DeviceKind::cuda) return open_cublas(device, stream, workspace);
  return std::unique_ptr<Blas>(std::make_unique<HostBlas>(stream));
}

// What the cuBLAS manual advises: 32 MiB from Hopper on, 4 MiB before; nothing on the host.
size_t blas_workspace_bytes(const DeviceInfo& info) {
  if (info.kind == DeviceKind::host) return 0;
  return (info.compute_major >= 9 ? size_t{32} : size_t{4}) << 20;
}

}  // namespace swarm::engine::device
