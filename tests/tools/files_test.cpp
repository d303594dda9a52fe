#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "engine/base/async/run.h"
#include "tests/support/support.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {
namespace fs = std::filesystem;

struct Files {
  test::TempDir outer;
  fs::path root = outer.path() / "root";
  Files() {
    fs::create_directories(root / "sub");
    test::write_file(outer.path() / "secret", "s3cret");
  }
  ToolResult call(const char* name, Json arguments) {
    BuiltinOptions options;
    options.program.root = root.string();
    Registry registry;
    registry.add(make_builtin(name, options).value()).value();
    ToolContext context;
    return run_root(registry.dispatch(name, std::move(arguments), context));
  }
};

TEST_CASE("write_file: creates folders, replaces the whole file, keeps its permissions") {
  Files files;
  CHECK(files.call("write_file", {{"path", "a/b/c.txt"}, {"content", "one"}}).text ==
        "\"a/b/c.txt\": 3 bytes written");
  CHECK(test::read_file(files.root / "a/b/c.txt") == "one");
  ::chmod((files.root / "a/b/c.txt").c_str(), 0740);
  CHECK_FALSE(files.call("write_file", {{"path", "a/b/c.txt"}, {"content", ""}}).is_error);
  CHECK(test::read_file(files.root / "a/b/c.txt").empty());
  CHECK((fs::status(files.root / "a/b/c.txt").permissions() & fs::perms::mask) ==
        fs::perms(0740));
  // Nothing else is left behind.
  CHECK(std::distance(fs::directory_iterator(files.root / "a/b"), fs::directory_iterator()) == 1);
}

TEST_CASE("write_file, edit_file: nothing leads out of the root, no link is written through") {
  Files files;
  fs::create_symlink(files.outer.path() / "secret", files.root / "link");
  fs::create_symlink(files.outer.path(), files.root / "folder");
  REQUIRE(::mkfifo((files.root / "pipe").c_str(), 0600) == 0);
  const std::string absolute = (files.outer.path() / "secret").string();
  for (const std::string& path : {std::string("link"), std::string("folder/secret"),
                                  std::string("../secret"), std::string("sub/../../secret"),
                                  absolute, std::string("sub"), std::string("."), std::string(""),
                                  std::string("pipe"), std::string("a\0b", 3)}) {
    CAPTURE(path);
    CHECK(files.call("write_file", {{"path", path}, {"content", "x"}}).is_error);
    CHECK(files.call("edit_file", {{"path", path}, {"old_text", "s"}, {"new_text", "x"}}).is_error);
    CHECK(files.call("search_files", {{"path", path}, {"text", "s3c"}}).text.find("s3cret") ==
          std::string::npos);
  }
  CHECK(test::read_file(files.outer.path() / "secret") == "s3cret");
}

TEST_CASE("write_file, edit_file: a run fills its root only so far, whoever of them writes") {
  Files files;
  test::write_file(files.root / "old", std::string(10 * 4096, 'o'));
  BuiltinOptions options;
  options.program.root = files.root.string();
  options.program.disk_bytes_max = 16 * 4096;    // blocks and entries
  options.grown = std::make_shared<uint64_t>(0);
  Registry registry;
  registry.add(make_builtin("write_file", options).value()).value();
  registry.add(make_builtin("edit_file", options).value()).value();
  ToolContext context;
  const auto write = [&](const std::string& path, size_t bytes) {
    return run_root(registry.dispatch(
        "write_file", {{"path", path}, {"content", std::string(bytes, 'x')}}, context));
  };
  const auto entries = [&] {
    size_t count = 0;
    for (auto at = fs::recursive_directory_iterator(files.root);
         at != fs::recursive_directory_iterator(); ++at)
      ++count;
    return count;
  };
  // A model in a loop: new files, then one that grows, then folders, then empty files.
  int written = 0;
  while (written < 100 && !write("f" + std::to_string(written), 4096).is_error) ++written;
  CHECK(written == 8);                           // each a block and an entry
  const ToolResult full = write("one more", 1);
  CHECK(full.text == "not written: in this run the root folder has grown by 65536 bytes on disk "
                     "and may grow by 65536 in all; put less into files that are there");
  CHECK(write("f0", 4097).is_error);
  CHECK(test::read_file(files.root / "f0").size() == 4096);
  const size_t before = entries();
  CHECK(write("a/b/c", 0).is_error);
  CHECK(write("empty", 0).is_error);
  CHECK(entries() == before);                    // no folder, no draft
  const auto edit = [&](const std::string& with) {
    return run_root(registry.dispatch(
        "edit_file", {{"path", "f1"}, {"old_text", std::string(4096, 'x')}, {"new_text", with}},
        context));
  };
  CHECK(edit(std::string(4097, 'y')).is_error);
  CHECK_FALSE(edit(std::string(4096, 'x')).is_error);  // as large as it was
  for (int i = 0; i < 50; ++i) CHECK_FALSE(write("f0", 4000).is_error);
  CHECK_FALSE(write("f0", 0).is_error);          // makes room for one block
  CHECK(write("g", 1).is_error);                 // which an entry of its own would not leave
  CHECK_FALSE(write("f1", 2 * 4096).is_error);
  CHECK(write("f2", 2 * 4096).is_error);
  // What was there before gives no credit beyond what the run has taken.
  CHECK_FALSE(write("old", 0).is_error);
  CHECK(*options.grown <= 6 * 4096);
  written = 0;
  while (written < 100 && !write("h" + std::to_string(written), 4096).is_error) ++written;
  CHECK(written <= 8);
}

TEST_CASE("write_file: a file that has another name keeps its room on the disk") {
  Files files;
  test::write_file(files.root / "kept", std::string(8 * 4096, 'k'));
  fs::create_hard_link(files.root / "kept", files.root / "name");
  BuiltinOptions options;
  options.program.root = files.root.string();
  options.program.disk_bytes_max = 4 * 4096;
  const auto tool = make_builtin("write_file", options).value();
  const auto write = [&](size_t bytes) {
    return run_root(tool->call({{"path", "name"}, {"content", std::string(bytes, 'x')}}, {}));
  };
  CHECK(write(5 * 4096).is_error);
  CHECK_FALSE(write(4 * 4096).is_error);
  CHECK(test::read_file(files.root / "kept").size() == 8 * 4096);
}

TEST_CASE("edit_file: changes what occurs exactly once, says so otherwise") {
  Files files;
  test::write_file(files.root / "f", "one\ntwo\ntwo\naa\n");
  const auto edit = [&](const char* before, const char* after) {
    return files.call("edit_file", {{"path", "f"}, {"old_text", before}, {"new_text", after}});
  };
  CHECK(edit("one\n", "1\n").text == "\"f\": changed at line 1");
  CHECK(edit("two", "2").text ==
        "\"f\": old_text occurs 2 times; give more of the lines around it");
  CHECK(edit("a", "b").is_error);  // also where the places touch
  CHECK(edit("two\naa", "2\naa").text == "\"f\": changed at line 3");
  CHECK(edit("three", "3").text.find("does not occur") != std::string::npos);
  CHECK(edit("", "x").text.find("wrong arguments") != std::string::npos);
  CHECK(test::read_file(files.root / "f") == "1\ntwo\n2\naa\n");
}

TEST_CASE("list_directory: sorted, with kinds and sizes") {
  Files files;
  test::write_file(files.root / "b.txt", "12345");
  test::write_file(files.root / ".hidden", "");
  fs::create_symlink("b.txt", files.root / "link");
  CHECK(files.call("list_directory", Json::object()).text ==
        ".hidden  0\nb.txt  5\nlink  (link, not followed)\nsub/\n");
  CHECK(files.call("list_directory", {{"path", "sub"}}).text == "[empty folder]");
  CHECK(files.call("list_directory", {{"path", "b.txt"}}).is_error);
  CHECK(files.call("list_directory", {{"path", ".."}}).is_error);
}

TEST_CASE("search_files: by name, by content, by both, within bounds") {
  Files files;
  test::write_file(files.root / "a.cpp", "int main() {}\nreturn 7;\n");
  test::write_file(files.root / "sub/b.cpp", "int other;\n");
  test::write_file(files.root / "sub/c.md", "int in prose\n");
  test::write_file(files.root / "sub/binary", std::string("int\0x", 5));
  const auto search = [&](Json arguments) {
    return files.call("search_files", std::move(arguments)).text;
  };
  CHECK(search({{"glob", "*.cpp"}}) == "a.cpp\nsub/b.cpp\n");
  CHECK(search({{"glob", "sub/*"}, {"text", "int"}}) ==
        "sub/b.cpp:1: int other;\nsub/c.md:1: int in prose\n");
  CHECK(search({{"text", "int"}, {"path", "sub"}, {"glob", "*.md"}}) ==
        "sub/c.md:1: int in prose\n");
  CHECK(search({{"text", "^return \\d"}, {"regex", true}}) == "a.cpp:2: return 7;\n");
  CHECK(search({{"text", "nowhere"}}) == "[nothing found]");
  CHECK(files.call("search_files", Json::object()).is_error);
  CHECK(search({{"text", "("}, {"regex", true}}).find("not a regular expression") !=
        std::string::npos);
  std::string many;
  for (int i = 0; i < 500; ++i) many += "hit\n";
  test::write_file(files.root / "many", many);
  const ToolResult hits = files.call("search_files", {{"text", "hit"}});
  CHECK(hits.truncated);
  CHECK(hits.text.find("[the first 200; narrow the search]") != std::string::npos);
  test::write_file(files.root / "costly", std::string(5000, 'a') + "!");
  CHECK(search({{"text", "^(a+)+$"}, {"regex", true}, {"glob", "costly"}}).find("too costly") !=
        std::string::npos);
}

}  // namespace
}  // namespace swarm::tools
