// Finding cuBLAS needs no card; it may be there or not.
#include <doctest/doctest.h>

#include "engine/device/blas.h"
#include "engine/device/cublas_abi.h"

using namespace swarm;
using namespace swarm::engine::device;

TEST_CASE("cublas: is found with every function, or the error says where it was looked for") {
  const auto library = cublas::load();
  if (library) {
    CHECK(library->name.find("cuBLAS 1") == 0);
    const bool has_product = library->gemm_ex != nullptr;
    CHECK(has_product);
    CHECK(blas_library().value() == library->name);
  } else {
    CHECK(library.error().kind == ErrorKind::environment);
    CHECK(library.error().message.find("cuBLAS not found: tried libcublas.so.13") == 0);
    CHECK(blas_library().error().message == library.error().message);
  }
}
