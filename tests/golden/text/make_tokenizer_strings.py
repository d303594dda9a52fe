"""Makes tokenizer_strings.json: 10,000 random Unicode strings as a recipe, their ids as digests.

Oracle: tiktoken 0.14 with the published Qwen vocabulary and pattern; a second one, Hugging Face
tokenizers 0.23 (BPE from merges rebuilt from the ranks, Split + ByteLevel, no normalizer), must agree
on every string, else the script stops. The vocabulary itself is not stored.
Run by hand:  python tests/golden/text/make_tokenizer_strings.py qwen.tiktoken [SWARM]
With SWARM (the program), the strings without line breaks are also sent through
"swarm tokenize --lines" on a GGUF file written with the gguf package.

The recipe is repeated by the C++ test: xoshiro256** as in engine/base/rng.h, see make_string().
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import unicodedata

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

MASK = (1 << 64) - 1
SEED, COUNT, PER_DIGEST = 20240612, 10000, 100
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
# Blocks of the recipe: every assigned character (Unicode 14, known to all engines) of these spans.
SPANS = {
    "ascii": (0x20, 0x7E), "control": (0x00, 0x1F), "latin": (0xA0, 0x24F), "ipa": (0x250, 0x2FF),
    "marks": (0x300, 0x36F), "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F),
    "armenian": (0x530, 0x58F), "hebrew": (0x590, 0x5FF), "arabic": (0x600, 0x6FF),
    "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FF), "tamil": (0xB80, 0xBFF),
    "thai": (0xE00, 0xE7F), "tibetan": (0xF00, 0xFFF), "georgian": (0x10A0, 0x10FF),
    "jamo": (0x1100, 0x11FF), "ethiopic": (0x1200, 0x137F), "khmer": (0x1780, 0x17FF),
    "mongolian": (0x1800, 0x18AF), "spaces": (0x2000, 0x206F), "super": (0x2070, 0x209F),
    "letterlike": (0x2100, 0x218F), "arrows": (0x2190, 0x23FF), "enclosed": (0x2460, 0x24FF),
    "symbols": (0x2600, 0x27BF), "cjk symbols": (0x3000, 0x303F), "kana": (0x3040, 0x30FF),
    "cjk": (0x4E00, 0x9FEF), "hangul": (0xAC00, 0xD7A3), "private": (0xE000, 0xE0FF),
    "forms": (0xFB00, 0xFDFF), "half": (0xFF00, 0xFFEF), "old": (0x10000, 0x103FF),
    "math": (0x1D400, 0x1D7FF), "emoji": (0x1F300, 0x1F64F), "more emoji": (0x1F680, 0x1F9FF),
    "cjk b": (0x20000, 0x2A6DF), "tags": (0xE0001, 0xE007F),
}
FRAGMENTS = [
    " ", "  ", "   ", "\n", "\r\n", "\n\n", "\r", "\t", " \n ", "\u00a0", "\u2028", "\u3000", "\u0085",
    "'s", "'S", "'ll", "'LL", "'\u017f", "'re", "'d ", "''", "\u2019s", "0", "1234", "\u0663\u0664",
    "\u00bd", "\u2167", "\u4e09", "the", " The", "hello", " world", "ing", "tion", " of", "return",
    "();", "!!!", "...", "->", "==", "/*", "</", "<|im_end|>", "<|im_start|>", "<tool_call>", "</think>",
    "\U0001F636\u200D\U0001F32B\uFE0F", "\U0001F468\u200D\U0001F469\u200D\U0001F467", "e\u0301",
    "\u0061\u030a", "\u1100\u1161", "\u6771\u4eac", "\ufffd", "\ufeff", "\u200b", "\U0010FFFF",
]


class Rng:
    """xoshiro256** seeded as engine/base/rng.h does it."""

    def __init__(self, seed):
        self.state = [self.mix(seed, i) for i in range(4)]

    @staticmethod
    def mix(a, b):
        z = (a ^ 0) & MASK
        z = (z + 0x9E3779B97F4A7C15 * (b + 1)) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def next(self):
        def rotl(x, k):
            return ((x << k) | (x >> (64 - k))) & MASK
        s = self.state
        result = (rotl((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return result

    def below(self, bound):
        limit = MASK - MASK % bound
        value = self.next()
        while value >= limit:
            value = self.next()
        return value % bound


def ranges_of(first, last):
    out = []
    for code in range(first, last + 1):
        if unicodedata.category(chr(code)) == "Cn":
            continue
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def make_string(rng, blocks):
    out = []
    for _ in range(1 + rng.below(16)):
        if rng.below(3) == 0:
            out.append(FRAGMENTS[rng.below(len(FRAGMENTS))])
            continue
        ranges = blocks[rng.below(len(blocks))]
        for _ in range(1 + rng.below(6)):
            first, last = ranges[rng.below(len(ranges))]
            out.append(chr(first + rng.below(last - first + 1)))
    return "".join(out)


def fnv(text, value=14695981039346656037):
    for byte in text.encode():
        value = ((value ^ byte) * 1099511628211) & MASK
    return value


def rebuild_merges(tokens):
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges = []
    for rank, token in enumerate(tokens):
        parts = [token[i:i + 1] for i in range(len(token))]
        while len(parts) > 2:
            best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], rank))
            assert ranks.get(parts[best] + parts[best + 1], rank) < rank
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
    return merges


def byte_letters():
    letters, extra = {}, 0x100
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(extra)
            extra += 1
    return letters


def hf_tokenizer(tokens, merges, spell):
    vocab = {spell(token): rank for rank, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[(spell(a), spell(b)) for a, b in merges]))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    return made


def write_gguf(path, tokens, merges, spell):
    import gguf
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    names = [spell(token) for token in tokens] + ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer.add_token_list(names)
    writer.add_token_types([1] * len(tokens) + [3] * 3)
    writer.add_token_merges([spell(a) + " " + spell(b) for a, b in merges])
    writer.add_eos_token_id(len(tokens) + 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_program(program, strings, ids, tokens, merges, spell):
    chosen = [i for i, text in enumerate(strings) if "\n" not in text]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "vocabulary.gguf"
        write_gguf(path, tokens, merges, spell)
        lines = "".join(strings[i] + "\n" for i in chosen).encode()
        ran = subprocess.run([program, "tokenize", "--model", str(path), "--lines", "-"],
                             input=lines, capture_output=True, check=True)
    got = [json.loads(line)["ids"] for line in ran.stdout.decode().split("\n") if line]
    assert len(got) == len(chosen), (len(got), len(chosen))
    wrong = [i for i, one in zip(chosen, got) if one != ids[i]]
    print(f"swarm tokenize --lines: {len(chosen)} strings, {len(wrong)} differ")
    for i in wrong[:10]:
        print(repr(strings[i]))


def main():
    tokens = [base64.b64decode(line.split()[0])
              for line in pathlib.Path(sys.argv[1]).read_bytes().splitlines()]
    merges = rebuild_merges(tokens)
    letters = byte_letters()

    def spell(token):
        return "".join(letters[byte] for byte in token)

    first = tiktoken.Encoding("qwen", pat_str=PATTERN, special_tokens={},
                              mergeable_ranks={token: i for i, token in enumerate(tokens)})
    second = hf_tokenizer(tokens, merges, spell)
    blocks = [ranges_of(*span) for span in SPANS.values()]
    rng = Rng(SEED)
    strings = [make_string(rng, blocks) for _ in range(COUNT)]
    ids = [first.encode(text, disallowed_special=()) for text in strings]
    others = [one.ids for one in second.encode_batch(strings)]
    disputed = [text for text, a, b in zip(strings, ids, others) if a != b]
    print(COUNT, "strings,", sum(map(len, ids)), "ids; the two oracles differ on", len(disputed))
    for text in disputed[:10]:
        print(ascii(text))
    assert not disputed
    digests = []
    for begin in range(0, COUNT, PER_DIGEST):
        value = 14695981039346656037
        for one in ids[begin:begin + PER_DIGEST]:
            value = fnv(" ".join(map(str, one)) + "\n", value)
        digests.append(f"{value:016x}")
    out = {"made by": "make_tokenizer_strings.py, tiktoken and tokenizers agreeing",
           "seed": SEED, "count": COUNT, "per digest": PER_DIGEST, "fragments": FRAGMENTS,
           "blocks": blocks, "digests": digests,
           "samples": [{"index": i, "text": strings[i], "ids": ids[i]} for i in range(20)]}
    path = pathlib.Path(__file__).parent / "tokenizer_strings.json"
    path.write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":")) + "\n")
    if len(sys.argv) > 2:
        check_program(sys.argv[2], strings, ids, tokens, merges, spell)


if __name__ == "__main__":
    main()
