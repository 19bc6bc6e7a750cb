"""Write the Unicode tables of the pipeline: `python bench/make_tables.py`, Python and Perl being of the pinned version.

Python 3.11 and Perl 5.36 carry Unicode 14.0.0; only Perl knows the Word_Break property. Another version changes signals
and signatures: it gets files of its own name, and the `VERSION` of measure.py, shingles.py and dedup.py goes up.
"""

import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seimai.pipeline import unicode_table as table

CODE_POINTS = 0x110000
CATEGORIES = {"L": table.LETTER, "M": table.MARK, "N": table.NUMBER, "P": table.PUNCTUATION, "S": table.SYMBOL}
CATEGORIES |= {"Z": table.SEPARATOR, "Cc": table.CONTROL, "Cf": table.CONTROL, "Cs": table.CONTROL}
SCRIPTS = {
    table.HIRAGANA: [(0x3041, 0x3096), (0x3099, 0x309F), (0x1B001, 0x1B11F), (0x1B150, 0x1B152), (0x1F200, 0x1F200)],
    table.KATAKANA: [
        *((0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),
        *((0x1AFF0, 0x1AFFE), (0x1B000, 0x1B000), (0x1B120, 0x1B122), (0x1B164, 0x1B167)),
    ],
    table.HAN: [
        *((0x2E80, 0x2FD5), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B)),
        *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFD)),
    ],
}
# Swallow's regular expressions were meant to take kanji beyond U+FFFF and missed them; here they count.
JAPANESE = [(0x3041, 0x3096), (0x30A1, 0x30FA), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFD)]
JAPANESE += [(ord(c), ord(c)) for c in "々〇〻、，。．！？"]

WORD_BREAK = {
    **{"ALetter": "LETTER", "Hebrew_Letter": "HEBREW", "Numeric": "NUMERIC", "ExtendNumLet": "EXTEND_NUM_LET"},
    **{"Katakana": "KATAKANA_WORD", "Extend": "EXTEND", "Format": "EXTEND", "ZWJ": "ZWJ", "MidLetter": "MID_LETTER"},
    **{"MidNum": "MID_NUM", "MidNumLet": "MID_NUM_LET", "Single_Quote": "SINGLE_QUOTE"},
    **{"Double_Quote": "DOUBLE_QUOTE", "Regional_Indicator": "REGIONAL"},
}
EVENTS = "!?.:@。．！？…()[]{}「」『』（）【】〈〉《》〔〕｛｝［］｢｣"


def classes() -> NDArray[np.uint8]:
    """The class byte of every code point (unicode_table.py tells the bits)."""
    result = np.zeros(CODE_POINTS, np.uint8)
    for code in range(CODE_POINTS):
        char = chr(code)
        category = unicodedata.category(char)
        value = CATEGORIES.get(category[0], CATEGORIES.get(category, table.UNKNOWN))
        value |= table.SPACE_BIT if char.isspace() else 0
        value |= table.BREAK_BIT if len(f"a{char}b".splitlines()) == 2 else 0
        result[code] = value
    for script, ranges in SCRIPTS.items():
        for first, last in ranges:
            result[first : last + 1] |= script << table.SCRIPT_SHIFT
    for first, last in JAPANESE:
        result[first : last + 1] |= table.JAPANESE_BIT
    return result


def perl(program: str) -> str:
    """What a Perl program prints; ends here unless Perl has the pinned version of Unicode."""
    shown = subprocess.run(
        ["perl", "-MUnicode::UCD", "-e", "print Unicode::UCD::UnicodeVersion(), qq(\n);" + program],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    version, _, rest = shown.partition("\n")
    if version != table.UNICODE_VERSION:
        sys.exit(f"this Perl has Unicode {version}; the pinned one is {table.UNICODE_VERSION}")
    return rest


def word_classes() -> NDArray[np.uint16]:
    """The word class of every code point: Perl's Word_Break, tailored as unicode_table.py tells."""
    number = {name: value for value, name in enumerate(table.WORD_CLASSES)}
    result = np.zeros(CODE_POINTS, np.uint16)
    for code in range(CODE_POINTS):
        if unicodedata.category(chr(code)) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nl"):
            result[code] = number["OTHER_LETTER"]
    test = "; ".join(f"print qq($_ {name}\\n) if $c =~ /\\p{{WB={name}}}/" for name in WORD_BREAK)
    pictures = "print qq($_ PICTURE\\n) if $c =~ /\\p{ExtPict}/ && $c =~ /\\p{WB=Other}/"
    for line in perl(f"for (0..0xD7FF, 0xE000..0x10FFFF) {{ my $c = chr; {test}; {pictures} }}").splitlines():
        code, name = line.split()
        result[int(code)] = number[WORD_BREAK.get(name, name)]
    scripts = classes() >> table.SCRIPT_SHIFT & 3
    kinds = (result == number["OTHER_LETTER"]) | (result == number["LETTER"])
    result[kinds & (scripts == table.HIRAGANA)] = number["HIRAGANA_WORD"]
    result[kinds & (scripts == table.HAN)] = number["HAN_WORD"]
    result[[ord("ー"), ord("ｰ")]] = number["LONG"]
    result[[code for code in range(CODE_POINTS) if chr(code).isspace()]] = number["SPACE"]
    return result


def listed(name: str) -> list[int]:
    """The code points of a set of character_sets.toml."""
    sets = tomllib.loads((Path(__file__).parent / "character_sets.toml").read_text(encoding="utf-8"))
    found = []
    for item in sets[name].split():
        first, _, last = item.partition("-")
        found += range(int(first, 16), int(last or first, 16) + 1)
    return found


def marks() -> NDArray[np.uint16]:
    """The two bytes of every code point that signals ask (unicode_table.py tells the bits)."""
    result = word_classes()
    result[listed("terminal")] |= table.TERMINAL_BIT
    result[listed("special")] |= table.SPECIAL_BIT
    result |= table.NOT_PUNCTUATION_BIT
    result[listed("punctuation")] &= 0xFFFF ^ table.NOT_PUNCTUATION_BIT
    value = classes()
    kind = value & table.CATEGORY_MASK
    controls = [*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0xA0)]
    result[[*controls, 0xFFFD, *map(ord, "縺繧繝")]] |= table.BROKEN_BIT
    result[kind == table.UNKNOWN] |= table.BROKEN_BIT
    result[(value & table.BREAK_BIT) > 0] |= table.EVENT_BIT
    result[[ord(c) for c in EVENTS]] |= table.EVENT_BIT
    result[kind == table.LETTER] |= table.LETTER_BIT
    result[np.isin(kind, [table.LETTER, table.MARK, table.NUMBER])] |= table.PLAIN_BIT
    return result


def folded(text: str) -> str:
    """NFKC, casefold, NFKC: what the tables say of single code points."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def folding() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For every code point the offset to its fold, or the place of a sequence; and the sequences."""
    values, sequences = np.zeros(CODE_POINTS, np.int32), []
    for code in range(CODE_POINTS):
        fold = folded(chr(code)) if not 0xD800 <= code < 0xE000 else chr(code)
        if len(fold) == 1:
            values[code] = ord(fold) - code
        else:
            values[code] = table.SEQUENCE + len(sequences) * 32 + len(fold)
            sequences += [ord(c) for c in fold]
    return values, np.array(sequences, np.int32)


def compositions() -> dict[tuple[int, int], int]:
    """Pairs of folded code points that NFC makes one, but for Hangul, which the kernel computes."""
    pairs = {}
    for code in range(CODE_POINTS):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            first, second = (int(part, 16) for part in parts)
            if unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(code) == folded(chr(code)):
                pairs[first, second] = code
    return pairs


def two_steps(values: NDArray[np.generic]) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
    """Equal blocks of 256 kept once: the block number of each block, and the blocks."""
    blocks, index = np.unique(values.reshape(-1, 256), axis=0, return_inverse=True)
    assert len(blocks) <= 256, "block numbers are bytes"
    return index.reshape(-1).astype(np.uint8), blocks


def main() -> None:
    """Write the file beside unicode_table.py."""
    if unicodedata.unidata_version != table.UNICODE_VERSION:
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}; the pinned one is {table.UNICODE_VERSION}")
    values, sequences = folding()
    pairs = compositions()
    seconds = np.zeros(CODE_POINTS, np.uint8)
    seconds[[second for _, second in pairs]] = 1
    seconds[0x1161:0x1176] = seconds[0x11A8:0x11C3] = 1
    order = sorted(pairs)
    arrays: dict[str, NDArray[np.generic]] = {"fold_sequences": sequences}
    arrays["class_block_of"], arrays["class_blocks"] = two_steps(classes())
    arrays["fold_block_of"], arrays["fold_blocks"] = two_steps(values)
    arrays["fold_second_block_of"], arrays["fold_second_blocks"] = two_steps(seconds)
    arrays["fold_pairs"] = np.array([first << 32 | second for first, second in order], np.int64)
    arrays["fold_composed"] = np.array([pairs[pair] for pair in order], np.int32)
    block_of, blocks = two_steps(marks())
    for kind, found in (("unicode", arrays), ("marks", {"block_of": block_of, "blocks": blocks})):
        out = Path(table.__file__).parent / f"{kind}_{table.UNICODE_VERSION.replace('.', '_')}.npz"
        np.savez_compressed(out, **found)  # type: ignore[arg-type]
        print(f"{out.name}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
