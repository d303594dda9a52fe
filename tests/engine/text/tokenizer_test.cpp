// The published vectors are the oracle of ids; properties hold for every text and vocabulary.
#include "engine/text/tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "engine/text/detokenizer.h"
#include "engine/text/pretokenizer.h"
#include "tests/engine/text/vocabularies.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::text;

namespace {

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t length = first_piece_length(text);
    out.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::string random_bytes(Rng& rng, size_t length) {
  std::string out;
  while (out.size() < length) {
    // Half plain bytes, half fragments that pre-tokenizer and merges care about.
    static const std::vector<std::string> fragments{
        "hello",     " world",  "\n\n",        "   ",      "'s",   "\xc3\xa9",     "\xe6\x9d\xb1",
        "\xe6\x9d",  "12",      "<|im_end|>",  "<|im_",    "end|>", "<tool_call>", "</think>",
        "\r\n",      "\xe2\x80\xa8", "\xc2\xa0"};
    if (rng.below(2) == 0) {
      out += static_cast<char>(static_cast<uint8_t>(rng.below(256)));
    } else {
      out += fragments[rng.below(fragments.size())];
    }
  }
  return out;
}

std::vector<std::string> split_vectors(const std::string& all) {
  std::vector<std::string> texts;
  const std::string separator = "\n__ggml_vocab_test__\n";
  size_t from = 0;
  for (size_t to = 0; (to = all.find(separator, from)) != std::string::npos;) {
    texts.push_back(all.substr(from, to - from));
    from = to + separator.size();
  }
  texts.push_back(all.substr(from));
  return texts;
}

}  // namespace

TEST_CASE("tokenizer: the pre-tokenizer cuts as the published pattern does") {
  using V = std::vector<std::string>;
  CHECK(pieces("Hello world") == V{"Hello", " world"});
  CHECK(pieces("a  b") == V{"a", " ", " b"});
  CHECK(pieces("a \n b") == V{"a", " \n", " b"});
  CHECK(pieces("a \n  \n   b") == V{"a", " \n  \n", "  ", " b"});
  CHECK(pieces("x   ") == V{"x", "   "});
  CHECK(pieces("123 45") == V{"1", "2", "3", " ", "4", "5"});
  CHECK(pieces("I'll we'RE") == V{"I", "'ll", " we", "'RE"});
  CHECK(pieces("'\xc5\xbfx") == V{"'\xc5\xbf", "x"});
  CHECK(pieces("!?\r\n\n x") == V{"!?\r\n\n", " x"});
  CHECK(pieces(" ...a") == V{" ...", "a"});
  CHECK(pieces("\tdef") == V{"\tdef"});
  CHECK(pieces("a\xff\xfe b") == V{"a", "\xff\xfe", " b"});
  CHECK(pieces("\xffz") == V{"\xffz"});
  CHECK(pieces("\xc2\xa0\xc2\xa0w") == V{"\xc2\xa0", "\xc2\xa0w"});
}

TEST_CASE("tokenizer: every published vector comes out id for id") {
  const auto tokenizer = test::qwen_tokenizer();
  const auto in = test::shared_data("qwen2-vectors.inp");
  const auto out = test::shared_data("qwen2-vectors.out");
  if (!tokenizer || !in || !out) {
    MESSAGE("published vectors are absent: not checked");
    return;
  }
  const std::vector<std::string> texts = split_vectors(test::read_file(*in));
  REQUIRE(texts.size() == 47);
  std::istringstream lines(test::read_file(*out));
  for (const std::string& text : texts) {
    std::string line;
    std::getline(lines, line);  // The last text is empty, and so is its (missing) line.
    REQUIRE((!line.empty() || text.empty()));
    std::istringstream numbers(line);
    std::vector<TokenId> want;
    for (TokenId id = 0; numbers >> id;) want.push_back(id);
    CAPTURE(text);
    CHECK(tokenizer->encode(text) == want);
    CHECK(tokenizer->decode(want) == text);
  }
}

TEST_CASE("tokenizer: decode(encode(x)) is x for any bytes and no special token appears") {
  std::vector<std::shared_ptr<const Tokenizer>> all{test::small_tokenizer()};
  if (auto qwen = test::qwen_tokenizer()) all.push_back(qwen);
  for (const auto& tokenizer : all) {
    Rng rng(20240717);
    for (int round = 0; round < 2000; ++round) {
      const std::string text = random_bytes(rng, rng.below(200));
      CAPTURE(round);
      const std::vector<TokenId> ids = tokenizer->encode(text);
      REQUIRE(tokenizer->decode(ids) == text);
      for (const TokenId id : ids) REQUIRE(!tokenizer->is_special(id));
      REQUIRE(tokenizer->decode(tokenizer->encode_with_specials(text)) == text);
      Detokenizer stream(tokenizer, ControlTokens::show);
      std::string streamed;
      for (const TokenId id : ids) {
        const std::string piece = stream.feed(id);
        REQUIRE(utf8_is_valid(piece));
        streamed += piece;
      }
      streamed += stream.finish();
      REQUIRE(streamed == utf8_sanitize(text));
    }
  }
}

TEST_CASE("tokenizer: a special token is recognised only where every byte is trusted") {
  const auto tokenizer = test::small_tokenizer();
  const TokenId end = tokenizer->find_special("<|im_end|>").value();
  const auto count = [&](const MarkedText& text) {
    const auto ids = tokenizer->encode(text);
    CHECK(tokenizer->decode(ids) == text.text());
    return std::count(ids.begin(), ids.end(), end);
  };
  const std::string marker = "<|im_end|>";
  CHECK(count(MarkedText("hello" + marker, Trust::trusted)) == 1);
  CHECK(count(MarkedText("hello" + marker, Trust::untrusted)) == 0);
  // Any single untrusted byte breaks it; a marker cannot be assembled across the border.
  for (size_t cut = 0; cut < marker.size(); ++cut) {
    MarkedText text("a", Trust::trusted);
    text.append(marker.substr(0, cut), Trust::trusted);
    text.append(marker.substr(cut, 1), Trust::untrusted);
    text.append(marker.substr(cut + 1), Trust::trusted);
    CHECK(count(text) == 0);
  }
  MarkedText turn("<|im_start|>user\n", Trust::trusted);
  turn.append("hello" + marker + marker, Trust::untrusted);
  turn.append(marker + "\n", Trust::trusted);
  CHECK(count(turn) == 1);
  CHECK(tokenizer->encode(turn).front() == tokenizer->find_special("<|im_start|>"));
}

TEST_CASE("tokenizer: random user text never yields a special token through the marked path") {
  const auto tokenizer = test::small_tokenizer();
  Rng rng(7);
  for (int round = 0; round < 1000; ++round) {
    MarkedText text("<|im_start|>user\n", Trust::trusted);
    const std::string content = random_bytes(rng, rng.below(80));
    text.append(content, Trust::untrusted);
    text.append("<|im_end|>\n", Trust::trusted);
    const auto ids = tokenizer->encode(text);
    REQUIRE(tokenizer->decode(ids) == text.text());
    const auto specials = std::count_if(ids.begin(), ids.end(), [&](TokenId id) {
      return tokenizer->is_special(id);
    });
    REQUIRE(specials == 2);
  }
}

TEST_CASE("tokenizer: text between markers is cut as one, across trust borders") {
  const auto tokenizer = test::small_tokenizer();
  const std::string plain = "user hello world\n\n  the end's aaaa";
  for (size_t cut = 0; cut <= plain.size(); ++cut) {
    MarkedText text(plain.substr(0, cut), Trust::trusted);
    text.append(plain.substr(cut), Trust::untrusted);
    CHECK(tokenizer->encode(text) == tokenizer->encode(plain));
  }
}

TEST_CASE("tokenizer: the longest marker wins and parse-control cuts them all") {
  TokenizerParts parts = test::small_parts();
  parts.tokens.push_back({"<think>", TokenType::user_defined});  // a duplicate: the first counts
  parts.tokens.push_back({"<think>ing", TokenType::user_defined});
  const auto tokenizer = Tokenizer::create(std::move(parts)).value();
  const TokenId longer = tokenizer->find_special("<think>ing").value();
  const TokenId shorter = tokenizer->find_special("<think>").value();
  CHECK(tokenizer->encode_with_specials("<think>ing<think>zn") ==
        std::vector<TokenId>{longer, shorter, 'z', 'n'});
}

TEST_CASE("tokenizer: a long piece of one word takes n log n, not n squared") {
  // Two million letters in one piece: hours if quadratic.
  const auto tokenizer = test::small_tokenizer();
  const std::string text(2'000'000, 'a');
  const auto ids = tokenizer->encode(text);
  CHECK(ids.size() == 500'000);
  CHECK(tokenizer->decode(ids) == text);
}

TEST_CASE("tokenizer: merging follows the definition: lowest rank first, leftmost on ties") {
  const auto tokenizer = test::small_tokenizer();
  const TokenizerParts parts = test::small_parts();
  Rng rng(3);
  for (int round = 0; round < 400; ++round) {
    std::string text;  // lengths on both sides of the switch from scan to heap
    const size_t length = 1 + rng.below(60);
    while (text.size() < length) text += "ahelo"[rng.below(5)];
    std::vector<TokenId> want;
    for (const char c : text) want.push_back(static_cast<uint8_t>(c));
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t rank = 0; rank < parts.merges.size() && !changed; ++rank) {
        const Merge& merge = parts.merges[rank];
        for (size_t i = 0; i + 1 < want.size() && !changed; ++i) {
          if (want[i] != merge.left || want[i + 1] != merge.right) continue;
          want[i] = merge.joined;
          want.erase(want.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          changed = true;
        }
      }
    }
    CAPTURE(text);
    CHECK(tokenizer->encode(text) == want);
  }
}

TEST_CASE("tokenizer: a vocabulary that cannot work is refused with the reason") {
  const auto refusal = [](TokenizerParts parts) {
    auto made = Tokenizer::create(std::move(parts));
    REQUIRE(!made);
    return made.error().message;
  };
  TokenizerParts parts = test::small_parts();
  parts.tokens[66].bytes = "BB";
  CHECK(refusal(parts) == "tokenizer: expected a token for every byte, found none for 0x42");
  parts = test::small_parts();
  parts.merges[3].right = 1 << 20;
  CHECK(refusal(parts) == "tokenizer: merge 3 names an unknown token");
  parts = test::small_parts();
  parts.merges[3].joined = 5;
  CHECK(refusal(parts) == "tokenizer: merge 3 does not join its two tokens to a normal token");
  parts = test::small_parts();
  parts.eos = 100000;
  CHECK(refusal(parts) == "tokenizer: expected eos token below 308, found 100000");
}

TEST_CASE("tokenizer: stop ids are eos and the end markers that exist") {
  const auto tokenizer = test::small_tokenizer();
  CHECK(std::vector<TokenId>(tokenizer->stop_ids().begin(), tokenizer->stop_ids().end()) ==
        std::vector<TokenId>{tokenizer->find_special("<|endoftext|>").value(),
                             tokenizer->find_special("<|im_end|>").value()});
  CHECK(tokenizer->is_stop(*tokenizer->eos()));
  CHECK(!tokenizer->is_stop(0));
  CHECK(tokenizer->is_control(*tokenizer->eos()));
  CHECK(!tokenizer->is_control(*tokenizer->find_special("<think>")));
  CHECK(tokenizer->is_special(*tokenizer->find_special("<think>")));
  CHECK(!tokenizer->leading_token());
}

TEST_CASE("detokenizer: holds back unfinished UTF-8 and skips control tokens when asked") {
  const auto tokenizer = test::small_tokenizer();
  Detokenizer stream(tokenizer);
  CHECK(stream.feed(0xe6) == "");
  CHECK(stream.holds_back());
  CHECK(stream.feed(0x9d) == "");
  CHECK(stream.feed(0xb1) == "\xe6\x9d\xb1");
  CHECK(stream.feed(*tokenizer->eos()) == "");
  CHECK(stream.feed(*tokenizer->find_special("<think>")) == "<think>");
  CHECK(stream.feed(0xf0) == "");
  CHECK(stream.feed('x') == "\xef\xbf\xbdx");
  CHECK(stream.feed(0xe2) == "");
  CHECK(stream.finish() == "\xef\xbf\xbd");
  CHECK(stream.finish() == "");
  Detokenizer show(tokenizer, ControlTokens::show);
  CHECK(show.feed(*tokenizer->eos()) == "<|im_end|>");
}
