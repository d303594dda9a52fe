#!/usr/bin/env python3
"""Writes engine/formats/iq_codebooks.inc: the lattice codebooks of the IQ types as packed codes.

Usage: make_iq_codebooks.py > engine/formats/iq_codebooks.inc
The points are taken as numbers from the decoded grids of the `gguf` Python package (0.18 or newer);
a code is the sum of level_index[j] << (bits * j), and points are listed in index order.
"""
import sys

import numpy as np
from gguf import quants

BOOKS = [
    ("kIq2xxsCodes", quants.IQ2_XXS, [8, 25, 43], 2),
    ("kIq2xsCodes", quants.IQ2_XS, [8, 25, 43], 2),
    ("kIq2sCodes", quants.IQ2_S, [8, 25, 43], 2),
    ("kIq3xxsCodes", quants.IQ3_XXS, [4, 12, 20, 28, 36, 44, 52, 62], 3),
    ("kIq3sCodes", quants.IQ3_S, [1, 3, 5, 7, 9, 11, 13, 15], 3),
    ("kIq1sCodes", quants.IQ1_S, [-1, 0, 1], 2),
]


def main():
    print("// Written by tests/golden/formats/make_iq_codebooks.py. Do not edit.")
    for name, kind, levels, bits in BOOKS:
        kind.init_grid()
        grid = np.asarray(kind.grid).reshape(kind.grid_shape).astype(int)
        entries, elements = grid.shape
        digits = elements * bits // 4
        codes = [sum(levels.index(v) << (bits * j) for j, v in enumerate(row)) for row in grid]
        text = "".join(f"{code:0{digits}x}" for code in codes)
        print(f"constexpr std::string_view {name} =  // {entries} points of {elements}")
        lines = [text[i:i + 92] for i in range(0, len(text), 92)]
        print("\n".join(f'    "{line}"' for line in lines) + ";")


if __name__ == "__main__":
    sys.exit(main())
