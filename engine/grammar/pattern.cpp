#include "engine/grammar/pattern.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "engine/base/check.h"
#include "engine/base/utf8.h"

namespace swarm::engine::grammar {
namespace {

constexpr int64_t kRepeatMax = 1000;
constexpr int kNestingMax = 100;
constexpr size_t kNfaStatesMax = 400'000;

struct Node {
  enum class Kind : uint8_t { set, sequence, alternatives, repeat, at_start, at_end };
  Kind kind = Kind::sequence;
  CodeSet set = {};
  std::vector<Node> children = {};
  int64_t min = 0;
  int64_t max = -1;  // < 0: without bound
};

const CodeSet kDigit{{'0', '9'}};
const CodeSet kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// WhiteSpace and LineTerminator of ECMA-262.
const CodeSet kSpace{{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                     {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                     {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodeSet kLineEnd{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : text_(text) {}

  Result<Node> parse() {
    SWARM_TRY(Node node, alternatives(0));
    if (at_ < text_.size()) return wrong("unmatched \")\"");
    return node;
  }

 private:
  Error wrong(const std::string& what) const {
    return unsupported("pattern \"" + std::string(text_) + "\": " + what + " at offset " +
                       std::to_string(at_));
  }
  bool more() const { return at_ < text_.size(); }
  bool eat(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }

  Result<Node> alternatives(int nesting) {
    if (nesting > kNestingMax) return wrong("groups nested too deeply");
    Node node{.kind = Node::Kind::alternatives};
    do {
      SWARM_TRY(Node branch, sequence(nesting));
      node.children.push_back(std::move(branch));
    } while (eat("|"));
    return node;
  }

  Result<Node> sequence(int nesting) {
    Node node{.kind = Node::Kind::sequence};
    while (more() && text_[at_] != '|' && text_[at_] != ')') {
      SWARM_TRY(Node term, atom(nesting));
      SWARM_TRY(Node repeated, quantified(std::move(term)));
      node.children.push_back(std::move(repeated));
    }
    return node;
  }

  Result<Node> atom(int nesting) {
    if (eat("^")) return Node{.kind = Node::Kind::at_start};
    if (eat("$")) return Node{.kind = Node::Kind::at_end};
    if (eat(".")) return Node{.kind = Node::Kind::set, .set = complement(kLineEnd)};
    if (text_[at_] == '[') return character_class();
    if (text_[at_] == '(') return group(nesting);
    if (std::string_view("*+?").find(text_[at_]) != std::string_view::npos) {
      return wrong("nothing to repeat");
    }
    Node node{.kind = Node::Kind::set};
    if (eat("\\")) {
      SWARM_TRY(node.set, escape(false));
      return node;
    }
    SWARM_TRY(const uint32_t code, code_point());
    node.set = {{code, code}};
    return node;
  }

  Result<Node> group(int nesting) {
    eat("(");
    if (!eat("?:") && more() && text_[at_] == '?') {
      const std::string_view rest = text_.substr(at_);
      const size_t length = rest.starts_with("?<=") || rest.starts_with("?<!") ? 3 : 2;
      return wrong("unsupported group \"(" + std::string(rest.substr(0, length)) + "\"");
    }
    SWARM_TRY(Node node, alternatives(nesting + 1));
    if (!eat(")")) return wrong("missing \")\"");
    return node;
  }

  Result<Node> quantified(Node term) {
    int64_t min = 0;
    int64_t max = -1;
    if (eat("*")) {
    } else if (eat("+")) {
      min = 1;
    } else if (eat("?")) {
      max = 1;
    } else {
      SWARM_TRY(const bool counted, counts(min, max));
      if (!counted) return term;
    }
    eat("?");
    if (term.kind == Node::Kind::at_start || term.kind == Node::Kind::at_end) {
      return wrong("unsupported quantifier of an anchor");
    }
    if (more() && std::string_view("*+?").find(text_[at_]) != std::string_view::npos) {
      return wrong("nothing to repeat");
    }
    Node node{.kind = Node::Kind::repeat, .min = min, .max = max};
    node.children.push_back(std::move(term));
    return node;
  }

  // {n}, {n,} or {n,m}; a brace that is none of these is an ordinary character.
  Result<bool> counts(int64_t& min, int64_t& max) {
    const size_t begin = at_;
    if (!eat("{")) return false;
    const std::optional<int64_t> first = number();
    std::optional<int64_t> second = first;
    if (first && eat(",")) {
      second = number();
      if (!second) second = -1;
    }
    if (!first || !eat("}")) {
      at_ = begin;
      return false;
    }
    min = *first;
    max = *second;
    if (max >= 0 && min > max) return wrong("numbers out of order in a quantifier");
    if (std::max(min, max) > kRepeatMax) {
      return wrong("unsupported quantifier above " + std::to_string(kRepeatMax));
    }
    return true;
  }

  std::optional<int64_t> number() {
    std::optional<int64_t> value;
    for (; more() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value = std::min<int64_t>(value.value_or(0) * 10 + (text_[at_] - '0'), 1'000'000);
    }
    return value;
  }

  Result<uint32_t> code_point() {
    const size_t length = utf8_sequence_length(text_.substr(at_));
    if (length == 0) return wrong("invalid UTF-8");
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text_[at_ + i]); };
    uint32_t code = length == 1 ? byte(0) : byte(0) & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; ++i) code = code << 6 | (byte(i) & 0x3Fu);
    at_ += length;
    return code;
  }

  Result<CodeSet> escape(bool in_class) {
    if (!more()) return wrong("\\ at the end");
    const char c = text_[at_];
    const auto shorthand = [&](CodeSet set) -> Result<CodeSet> {
      ++at_;
      return set;
    };
    const auto one = [&](uint32_t code) { return shorthand({{code, code}}); };
    switch (c) {
      case 'd':
        return shorthand(kDigit);
      case 'D':
        return shorthand(complement(kDigit));
      case 'w':
        return shorthand(kWord);
      case 'W':
        return shorthand(complement(kWord));
      case 's':
        return shorthand(kSpace);
      case 'S':
        return shorthand(complement(kSpace));
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'b':
        if (in_class) return one('\b');
        break;
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      default:
        break;
    }
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (word || static_cast<uint8_t>(c) >= 0x80) {
      return wrong(std::string("unsupported escape \"\\") + c + "\"");
    }
    return one(static_cast<uint8_t>(c));
  }

  Result<CodeSet> hex(size_t digits) {
    ++at_;
    const bool braces = digits == 4 && eat("{");
    uint32_t code = 0;
    size_t count = 0;
    for (; more() && (braces || count < digits); ++count, ++at_) {
      const size_t value =
          std::string_view("0123456789abcdef")
              .find(static_cast<char>(text_[at_] >= 'A' && text_[at_] <= 'F' ? text_[at_] + 32
                                                                             : text_[at_]));
      if (value == std::string_view::npos) break;
      code = std::min<uint32_t>(code * 16 + static_cast<uint32_t>(value), kCodeMax + 1);
    }
    if (braces ? count == 0 || !eat("}") : count != digits) return wrong("incomplete escape");
    if (code > kCodeMax || (code >= 0xD800 && code <= 0xDFFF)) {
      return wrong("unsupported escape of a surrogate or of no code point");
    }
    return CodeSet{{code, code}};
  }

  Result<Node> character_class() {
    eat("[");
    const bool negated = eat("^");
    Node node{.kind = Node::Kind::set};
    while (!eat("]")) {
      if (!more()) return wrong("missing \"]\"");
      SWARM_TRY(const CodeSet low, class_atom());
      const bool is_range = text_.substr(at_).starts_with("-") &&
                            !text_.substr(at_).starts_with("-]") && low.size() == 1 &&
                            low[0].low == low[0].high;
      if (!is_range) {
        node.set.insert(node.set.end(), low.begin(), low.end());
        continue;
      }
      eat("-");
      SWARM_TRY(const CodeSet high, class_atom());
      if (high.size() != 1 || high[0].low != high[0].high || high[0].low < low[0].low) {
        return wrong("invalid range in a class");
      }
      node.set.push_back({low[0].low, high[0].low});
    }
    if (negated) node.set = complement(std::move(node.set));
    return node;
  }

  Result<CodeSet> class_atom() {
    if (!more()) return wrong("missing \"]\"");
    if (eat("\\")) return escape(true);
    SWARM_TRY(const uint32_t code, code_point());
    return CodeSet{{code, code}};
  }

  std::string_view text_;
  size_t at_ = 0;
};

class PatternWriter {
 public:
  PatternWriter(Nfa& nfa, TextCoding coding) : nfa_(nfa), coding_(coding) {}

  Piece write(const Node& node) {
    // Past the limit the result is thrown away; stop growing.
    if (nfa_.size() > kNfaStatesMax) return nfa_.empty();
    switch (node.kind) {
      case Node::Kind::set:
        return characters(nfa_, node.set, coding_);
      case Node::Kind::repeat:
        return nfa_.repeat([&] { return write(node.children[0]); }, node.min, node.max);
      case Node::Kind::at_start:
      case Node::Kind::at_end:
        return anchor(node.kind);
      case Node::Kind::sequence:
      case Node::Kind::alternatives:
        break;
    }
    std::vector<Piece> pieces;
    for (const Node& child : node.children) pieces.push_back(write(child));
    return node.kind == Node::Kind::sequence ? nfa_.sequence(pieces) : nfa_.any_of(pieces);
  }

 private:
  Piece anchor(Node::Kind kind) {
    const Piece piece{nfa_.add_state(), nfa_.add_state()};
    if (kind == Node::Kind::at_start) {
      nfa_.add_at_start(piece.start, piece.end);
    } else {
      nfa_.add_at_end(piece.start, piece.end);
    }
    return piece;
  }

  Nfa& nfa_;
  TextCoding coding_;
};

}  // namespace

Result<Dfa> compile_pattern(std::string_view pattern, TextCoding coding) {
  SWARM_TRY(const Node node, PatternParser(pattern).parse());
  Nfa nfa;
  const Piece before = nfa.star(any_character(nfa, coding));
  const Piece match = PatternWriter(nfa, coding).write(node);
  const Piece after = nfa.star(any_character(nfa, coding));
  if (nfa.size() > kNfaStatesMax) {
    return unsupported("pattern \"" + std::string(pattern) + "\" is too large");
  }
  return nfa.determinize(nfa.sequence({before, match, after}));
}

}  // namespace swarm::engine::grammar
