"""Pre-tokens in three engines and ids in two: no difference, on texts of this repository and on shared ones."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import regex
import tiktoken
from tokenizers import Regex, pre_tokenizers

from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.split import SPLITS, split_pattern
from seimai.tokenizer.split_presets import PRESETS
from seimai.tokenizer.vocabulary import engine, load

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench" / "split_parity.py"
SHARED_CHARS = 10_000
HARD = (
    "コーヒーを飲む。佐々木さんは、「ヴァイオリン」を弾いた……。々〆ヶヵ ゝゞヽヾ ㇰㇱ ﾊﾝｶｸ ｶﾅ",
    "if x:\n        return 3.14\n\n\n# done\r\n\ttab  two   three\u3000\u00a0\u2028 end   ",
    "it's WE'LL don’t o'clock rock'n'roll I'ſ HE'D'VE 'tis ''s",
    "👩‍👩‍👧‍👦 flags 🇯🇵🇬🇧 e\u0301 が \x00\x01\x02漢\x03 \x7f\u200b1\u200bか\u200ba",
    "東京2020年12月31日 $1,234.56 50% １２３４ ٣٤٥ Ⅷ ½ ²",
    "Ünïcödé ΑΒΓ абв עברית हिन्दी ไทย 한국어 𠮟る 𩸽 UPPERlower McDonald's",
)


@pytest.fixture(scope="module")
def parity() -> Iterator[ModuleType]:
    """The bench script as a module."""
    spec = importlib.util.spec_from_file_location("split_parity", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["split_parity"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["split_parity"]


@pytest.fixture(scope="module")
def characters(parity: ModuleType) -> list[str]:
    """Code points of Unicode 16 in many places: of the large blocks of like ones every hundredth."""
    large = ((0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0x17000, 0x18CFF), (0x20000, 0x10FFFF))
    chosen = [
        c for c in parity.assigned() if ord(c) % 100 == 0 or not any(first <= ord(c) <= last for first, last in large)
    ]
    return list(parity.in_places(chosen))


@pytest.mark.parametrize("name", SPLITS)
def test_engines_cut_alike(parity: ModuleType, characters: list[str], texts: dict[str, list[str]], name: str) -> None:
    sample = [text for lang in texts for text in texts[lang][:6]]
    n, wrong = parity.differences(name, [*HARD, *sample, *characters[:: 4 if name == "ja-en" else 8]])
    assert wrong == []
    assert n > 1000 or name == "none"


def test_engines_cut_shared_texts_alike(parity: ModuleType) -> None:
    """The first texts of each file; `bench/split_parity.py` reads all of them, `make prove` runs it."""
    folder = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "text"
    if not folder.is_dir():
        pytest.skip(f"no texts in {folder}; set SEIMAI_DATA to the folder that holds text/")
    for path in sorted(folder.glob("*.jsonl.zst")):
        texts = parity.texts_of(path)
        chosen = [text for at, text in enumerate(texts) if sum(map(len, texts[:at])) < SHARED_CHARS][:200]
        assert parity.differences("ja-en", chosen)[1] == []


@pytest.mark.parametrize(
    "expected",
    [["ab", " ", "cd"], ["a", "b", " ", "cd"], ["a", "b", " ", "c", "d"], ["ab ", "cd"], ["a", "b c", "d"], ["ab cd"]],
)
def test_no_difference_to_fancy_regex_hides(parity: ModuleType, expected: list[str]) -> None:
    r"""It cuts by \w+|\W, so only the first is what it finds."""
    seen = parity.by_fancy_regex(r"\w+|\W", ["ab cd"], [expected])
    assert (seen == [expected]) == (expected == ["ab", " ", "cd"])


@pytest.mark.parametrize("name", ["r50k_pat_str", "cl100k", "o200k"])
def test_presets_cut_as_tiktokens_own_patterns(texts: dict[str, list[str]], name: str) -> None:
    """The originals are written with possessive quantifiers, ours so that three engines take them."""
    import inspect

    from tiktoken_ext import openai_public  # type: ignore[import-untyped]

    if name == "r50k_pat_str":
        original, ours = openai_public.r50k_pat_str, split_pattern(name="gpt2")
    else:
        source = inspect.getsource(getattr(openai_public, f"{name}_base"))
        parts = re.findall(r'r"""(.*?)"""', source)
        original, ours = "|".join(parts), split_pattern(name=name)
    for text in (*HARD, *(text for lang in texts for text in texts[lang][:5])):
        assert regex.findall(ours, text) == regex.findall(original, text)


def test_deepseeks_three_splits_as_one(texts: dict[str, list[str]]) -> None:
    """The original pre-tokenizer, three splits in a row, on hard texts and texts of many languages."""
    three = (
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
    original = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(each), "isolated") for each in three])
    pattern = split_pattern(name="deepseek-v3")
    for text in (*HARD, *(text for lang in texts for text in texts[lang][:6])):
        assert regex.findall(pattern, text) == [piece for piece, _ in original.pre_tokenize_str(text)]


def test_presets_say_where_they_are_from() -> None:
    assert all(preset.source and preset.pattern for preset in PRESETS.values())
    assert set(PRESETS) < set(SPLITS)


def test_ids_are_tiktokens(tokenizer: Path, texts: dict[str, list[str]]) -> None:
    """tiktoken merges any neighbours whose join is a token, the library only listed pairs: no text may show it."""
    vocabulary, library = load(tokenizer), engine(tokenizer)
    n_ordinary = 256 + len(vocabulary.merges)
    ranks = {token: rank for rank, token in enumerate(vocabulary.token_bytes[:n_ordinary])}
    encoding = tiktoken.Encoding("ours", pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens={})
    everything = [*HARD, *(text for lang in texts for text in texts[lang])]
    by_library = library.encode_batch_fast(everything, add_special_tokens=False)
    assert [each.ids for each in by_library] == [encoding.encode_ordinary(text) for text in everything]


@pytest.mark.parametrize("unit", ["吾輩は猫である。", "word ", "0"])
def test_a_megabyte_on_one_line_comes_back(tokenizer: Path, unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    encoder = Encoder(tokenizer)
    assert encoder.failures([text], encoder.ids([text])) == []
