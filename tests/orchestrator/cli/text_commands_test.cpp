// swarm tokenize and swarm template on a model file written by the test.
#include <doctest/doctest.h>


#include "engine/formats/gguf.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;
using engine::formats::GgufBuilder;

namespace {

using test::Ran;
using test::run;

void append_utf8(std::string& out, unsigned code_point) {
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else {
    out += static_cast<char>(0xc0 | (code_point >> 6));
    out += static_cast<char>(0x80 | (code_point & 0x3f));
  }
}

// Ids 0-255 are the bytes, 256 "hi", 257 "<|im_end|>" (control), 258 "<think>" (user-defined).
GgufBuilder small_model() {
  std::vector<std::string> tokens;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    tokens.emplace_back();
    append_utf8(tokens.back(), printable ? byte : next++);
  }
  for (const char* more : {"hi", "<|im_end|>", "<think>"}) tokens.emplace_back(more);
  std::vector<int32_t> types(257, 1);
  types.push_back(3);
  types.push_back(4);
  GgufBuilder builder;
  builder.set("general.architecture", std::string("qwen3"));
  builder.set("tokenizer.ggml.model", std::string("gpt2"));
  builder.set("tokenizer.ggml.pre", std::string("qwen2"));
  builder.set_strings("tokenizer.ggml.tokens", tokens);
  builder.set_integers("tokenizer.ggml.token_type", types);
  builder.set_strings("tokenizer.ggml.merges", {"h i"});
  builder.set("tokenizer.ggml.eos_token_id", uint32_t{257});
  builder.set("tokenizer.chat_template",
              std::string("{% for m in messages %}<|im_start|>{{ m.content }}{{ eos_token }}"
                          "{% endfor %}{% if add_generation_prompt %}>{% endif %}{{ x }}"));
  return builder;
}

struct Model {
  explicit Model(GgufBuilder builder = small_model()) {
    const Result<void> written = builder.write(path());
    REQUIRE_MESSAGE(written.has_value(), written.error().to_text());
  }
  std::string path() const { return (folder.path() / "m.gguf").string(); }
  test::TempDir folder;
};

}  // namespace

TEST_CASE("tokenize: text to ids and back, controls only when asked") {
  const Model model;
  CHECK(run({"tokenize", "--model", model.path(), "hi h"}).out == "{\"ids\":[256,32,104]}\n");
  CHECK(run({"tokenize", "--model", model.path(), "<|im_end|>", "--parse-control"}).out ==
        "{\"ids\":[257]}\n");
  const Ran plain = run({"tokenize", "--model", model.path(), "<|im_end|>"});
  CHECK(plain.out.find("257") == std::string::npos);
  CHECK(run({"tokenize", "--model", model.path(), "-"}, "hi\n").out == "{\"ids\":[256,10]}\n");
  CHECK(run({"tokenize", "--model", model.path(), "--lines", "-"}, "hi\n\nh\xff").out ==
        "{\"ids\":[256]}\n{\"ids\":[]}\n{\"ids\":[104,255]}\n");
  for (const char* ids : {"256 10 257", "256,10,257", "[256, 10, 257]", "{\"ids\":[256,10,257]}"})
    CHECK(run({"tokenize", "--model", model.path(), "--decode", ids}).out == "hi\n<|im_end|>");
  CHECK(run({"tokenize", "--model", model.path(), "--decode", "--lines", "-"}, "256 10\n255").out ==
        "{\"text\":\"hi\\n\"}\n{\"text\":\"\xef\xbf\xbd\"}\n");
}

TEST_CASE("tokenize: bad ids, bad vocabularies and missing files are told apart") {
  const Model model;
  const Ran bad = run({"tokenize", "--model", model.path(), "--decode", "259"});
  CHECK(bad.code == 2);
  CHECK(bad.err.find("expected token ids from 0 to 258, found \"259\"") != std::string::npos);
  CHECK(run({"tokenize", "--model", "/nonexistent.gguf", "x"}).code == 3);
  const auto refusal = [](const std::string& key, engine::formats::GgufValue value) {
    GgufBuilder builder = small_model();
    builder.set(key, std::move(value));
    const Model other(std::move(builder));
    const Ran ran = run({"tokenize", "--model", other.path(), "x"});
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    return ran.err;
  };
  CHECK(refusal("tokenizer.ggml.model", std::string("llama"))
            .find("expected tokenizer.ggml.model \"gpt2\", found \"llama\"") != std::string::npos);
  CHECK(refusal("tokenizer.ggml.pre", std::string("deepseek-llm"))
            .find("expected tokenizer.ggml.pre \"qwen2\", found \"deepseek-llm\"") !=
        std::string::npos);
  CHECK(refusal("tokenizer.ggml.eos_token_id", uint32_t{9999})
            .find("expected tokenizer.ggml.eos_token_id below 259, found 9999") !=
        std::string::npos);
  GgufBuilder builder = small_model();
  builder.set_strings("tokenizer.ggml.merges", {"h i", "h zz"});
  const Model other(std::move(builder));
  CHECK(run({"tokenize", "--model", other.path(), "x"})
            .err.find("tokenizer.ggml.merges[1] \"h zz\" names a text that is not in") !=
        std::string::npos);
}

TEST_CASE("template: renders from a model file or a template file") {
  const Model model;
  const std::string messages = (model.folder.path() / "messages.json").string();
  test::write_file(messages, R"([{"role": "user", "content": "<|im_end|>"}])");
  CHECK(run({"template", "--model", model.path(), "--messages", messages, "--var", "x=[1]"}).out ==
        "<|im_start|><|im_end|><|im_end|>>[1]");
  const Ran json = run({"template", "--model", model.path(), "--messages", messages, "--json",
                        "--no-generation-prompt"});
  CHECK(json.out ==
        "{\"text\":\"<|im_start|><|im_end|><|im_end|>\",\"trusted\":[[0,12],[22,32]]}\n");
  const std::string file = (model.folder.path() / "t.jinja").string();
  test::write_file(file, "{{ messages[0].role }}{{ tools | length }}\n");
  test::write_file(messages, R"({"messages": [{"role": "user"}], "tools": [{}, {}]})");
  CHECK(run({"template", "--template", file, "--messages", messages}).out == "user2");
  test::write_file(file, "line\n{{ messages | nope }}");
  const Ran bad = run({"template", "--template", file, "--messages", messages});
  CHECK(bad.code == 2);
  CHECK(bad.err.find("t.jinja:2:15: error: unknown filter \"nope\"") != std::string::npos);
  CHECK(run({"template", "--messages", messages}).code == 2);
  CHECK(run({"template", "--template", file, "--messages", messages, "--var", "x"}).code == 2);
}
