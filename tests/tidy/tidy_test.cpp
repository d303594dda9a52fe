// The tree obeys the house rules, and each rule notices a planted violation.
#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "tests/support/support.h"
#include "tests/tidy/tidy.h"

using namespace swarm;
namespace fs = std::filesystem;

namespace {

std::map<std::string, std::string> sources() {
  std::map<std::string, std::string> files;
  static const std::set<std::string> kSuffixes{".h", ".cpp", ".cu", ".cuh"};
  for (const char* folder :
       {"engine", "tools", "mcp", "agents", "orchestrator", "examples", "tests"})
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file() && kSuffixes.contains(entry.path().extension().string()))
        files[entry.path().generic_string()] = test::read_file(entry.path());
  return files;
}

bool reports(const std::string& path, const std::string& text, const std::string& part) {
  for (const tidy::Finding& finding : tidy::check_file(path, text))
    if (finding.message.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("tidy: the whole tree follows the house rules") {
  const auto files = sources();
  REQUIRE(files.size() > 20);
  std::string report;
  for (const auto& [path, text] : files)
    for (const tidy::Finding& finding : tidy::check_file(path, text))
      report += finding.to_text() + "\n";
  for (const tidy::Finding& finding : tidy::check_unused_headers(files))
    report += finding.to_text() + "\n";
  CHECK_MESSAGE(report.empty(), report);
}

TEST_CASE("tidy: no file names a path of a developer's machine, no run is left behind") {
  static const std::set<std::string> kNotOurs{"build",  "out",      ".git",       ".swarm",
                                              "shared", ".library", "__pycache__"};
  static const std::set<std::string> kBinary{".gguf", ".png", ".safetensors"};
  int seen = 0;
  for (fs::recursive_directory_iterator at("."), end; at != end; ++at) {
    const fs::path path = at->path();
    if (kNotOurs.contains(path.filename().string())) {
      at.disable_recursion_pending();
      continue;
    }
    if (!at->is_regular_file() || kBinary.contains(path.extension().string())) continue;
    ++seen;
    CAPTURE(path.string());
    CHECK(path.filename() != "journal.jsonl");
    if (path.parent_path() != "./tests/tidy")
      CHECK(test::read_file(path).find("/work/") == std::string::npos);
  }
  CHECK(seen > 500);
}

TEST_CASE("tidy: the tests that the table of MCP behaviours names exist, for all 35") {
  const std::string path = "tests/mcp/README.md";
  std::string tests;
  for (const auto& [name, text] : sources())
    if (name.starts_with("tests/")) tests += text;
  std::string report;
  for (const tidy::Finding& finding :
       tidy::check_behaviours(path, test::read_file(path), 35, tests))
    report += finding.to_text() + "\n";
  CHECK_MESSAGE(report.empty(), report);
}

TEST_CASE("tidy: a table that has rotted is noticed") {
  const std::string tests = "TEST_CASE(\"a: b\") {}\nTEST_CASE(\"c\") {}\n";
  const auto findings = [&](const std::string& page) {
    return tidy::check_behaviours("page.md", page, 2, tests).size();
  };
  CHECK(findings("| # | x |\n|---|---|\n| 1 | x | `a: b`, `c` |\n| 2 | y | open |\n") == 0);
  CHECK(findings("| 1 | x | `a: b`, `d` |\n| 2 | y | open |\n") == 1);
  CHECK(findings("| 1 | x | `a:` |\n| 2 | y | open |\n") == 1);
  CHECK(findings("| 1 | x | soon |\n| 2 | y | open |\n") == 1);
  CHECK(findings("| 1 | x | `c` |\n") == 1);
  CHECK(findings("| 2 | x | `c` |\n") == 1);
  CHECK(findings("| 1 | x | `c` |\n| 3 | y | open |\n") == 2);
}

TEST_CASE("tidy: every test file is in its folder's program") {
  for (const auto& [path, text] : sources()) {
    if (!path.starts_with("tests/") || !path.ends_with("_test.cpp")) continue;
    const fs::path file(path);
    std::string lists;                           // of this folder and those above
    for (fs::path at = file.parent_path(); at.has_parent_path(); at = at.parent_path())
      if (fs::exists(at / "CMakeLists.txt")) lists += test::read_file(at / "CMakeLists.txt");
    const std::string own = fs::exists(file.parent_path() / "CMakeLists.txt")
                                ? test::read_file(file.parent_path() / "CMakeLists.txt")
                                : "";
    const bool listed = own.find("SOURCES") != std::string::npos;
    if (!listed || own.find("GLOB") != std::string::npos) continue;  // all of the folder are taken
    const std::string stem = file.stem().string();             // some lists leave _test.cpp out
    CHECK_MESSAGE(lists.find(stem.substr(0, stem.size() - 5)) != std::string::npos, path);
  }
}

TEST_CASE("tidy: each rule reports a planted violation") {
  const std::string head = "// engine/x/a.h — Planted.\n#pragma once\n";
  CHECK(reports("engine/x/a.h", head + "#include \"agents/agent.h\"\n", "include arrow"));
  CHECK(reports("engine/x/a.h", head + "#include \"engine/base/async/task.h\"\n", "base/async"));
  CHECK(reports("agents/a.cpp", "#include \"tools/registry.h\"\n", "include arrow"));
  CHECK(reports("engine/x/a.cpp", "#include <nlohmann/json.hpp>\n", "nlohmann"));
  CHECK(reports("agents/a.cpp", "#include <yaml-cpp/yaml.h>\n", "YAML"));
  CHECK(reports("engine/x/a.h", "int a;\n", "contract"));
  CHECK(reports("engine/x/a.h", "// engine/x/a.h — Planted.\n", "#pragma once"));
  CHECK(reports("engine/x/a.cpp", std::string(501, '\n'), "lines"));
  CHECK(reports("engine/x/a.cpp", std::string(101, 'x') + "\n", "columns"));
  CHECK(reports("engine/x/a.cpp", "int* p = new int;\n", "no bare new"));
  CHECK(reports("mcp/a.cpp", "co_spawn(e, f(), net::detached);\n", "nothing is detached"));
  CHECK(reports("tools/a.cpp", "std::this_thread::sleep_for(x);\n", "not for time"));
  CHECK(reports("tools/a.cpp", "// TODO later\n", "issue"));
  CHECK(reports("engine/x/a.cpp", "int f(int a) {\n" + std::string(75, '\n') + "}\n", "f has"));
  CHECK(reports("tools/a.cpp", "x = std::regex(\"a\");\n", "linear"));
}

TEST_CASE("tidy: kernel sources have rules of their own") {
  const std::string kernel = "engine/kernels/cuda/rope.cu";
  CHECK(reports(kernel, std::string(501, '\n'), "lines"));
  CHECK(reports(kernel, "#include <cuda_runtime.h>\n", "CUDA headers"));
  CHECK(reports("engine/kernels/dispatch.cpp", "#include <cublas_v2.h>\n", "CUDA headers"));
  CHECK(reports(kernel, "#include <vector>\n", "<cstdint>"));
  CHECK(reports(kernel, "#include \"engine/base/check.h\"\n", "a kernel may not include"));
  CHECK(reports(kernel, "f<<<grid, block>>>(x);\n", "simt::launch"));
  CHECK(reports(kernel, "cudaMalloc(&p, n);\n", "engine/device"));
  CHECK(reports("engine/model/a.cpp", "cublasSgemm(h);\n", "engine/device"));
  CHECK(reports(kernel, "#if SIMT_DEVICE\n", "is a primitive"));
  CHECK(reports(kernel, "__shared__ float x[32];\n", "one struct"));
  CHECK(reports(kernel, "asm(\"nanosleep.u32 1;\");\n", "kernels/cuda/prim"));
  CHECK(reports(kernel, "v += __shfl_xor_sync(~0u, v, 1);\n", "kernels/cuda/prim"));
  CHECK(reports(kernel, "atomicAdd(p, 1.0f);\n", "kernels/cuda/prim"));
  CHECK_FALSE(reports("engine/device/device_cuda.cpp", "#include <cuda_runtime.h>\n", "CUDA"));
  CHECK_FALSE(reports("engine/device/device_cuda.cpp", "cudaMalloc(&p, n);\n", "engine/device"));
  CHECK_FALSE(reports("engine/kernels/cuda/prim/mma.h", "asm(\"x\");\n", "primitive"));
  CHECK_FALSE(reports("engine/kernels/cuda/simt/simt.h", "k<<<g, b>>>(x);\n", "launch"));
}

TEST_CASE("tidy: comments and strings are not code") {
  CHECK_FALSE(reports("tools/a.cpp", "// calls new Foo\nauto s = \"new Foo\";\n", "no bare new"));
  CHECK_FALSE(reports("tools/a.cpp", "auto s = R\"(new Foo \" )\";\nint x = 1'000;\n", "no bare"));
  CHECK(tidy::strip("a /* b\nc */ d") == "a     \n     d");
}
