"""Personal data: labelled cases with hard negatives, masking that leaves nothing, and time linear in the text."""

import random
import re
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.pii import DEFAULT, PII_SCHEMA, PII_SIGNALS, count_pii, find_pii, mask_pii
from seimai.pipeline.pii_rules import KINDS, find_addresses, find_numbers, fold

Find = tuple[str, str]


def labelled() -> list[tuple[str, list[Find]]]:
    """The case file: texts without their marks, and what the marks held."""
    lines = (Path(__file__).parent / "pii_cases.txt").read_text(encoding="utf-8").splitlines()
    cases = []
    for line in lines:
        if line and not line.startswith("#"):
            marks = re.findall(r"⟦(\w+):(.*?)⟧", line)
            cases.append((re.sub(r"⟦\w+:(.*?)⟧", r"\1", line), marks))
    return cases


CASES = labelled()


def finds(text: str) -> list[Find]:
    return [(row["kind"], text[row["start"] : row["end"]]) for row in find_pii([text]).to_pylist()]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_cases(text: str, expected: list[Find]) -> None:
    assert finds(text) == expected


def test_all_cases_as_one_text_and_as_many() -> None:
    texts = [text for text, _ in CASES]
    table = find_pii(pa.array([None, *texts, ""], pa.large_string()))
    assert table.schema == PII_SCHEMA
    assert [row - 1 for row in table["row"].to_pylist()] == [
        at for at, (_, expected) in enumerate(CASES) for _ in expected
    ]
    joined = f"。{'米' * 90}\n".join(texts)
    assert Counter(finds(joined)) == Counter(find for _, expected in CASES for find in expected)


def test_what_is_masked_cannot_be_found_again() -> None:
    texts = [text for text, _ in CASES]
    masked = mask_pii(pa.array([*texts, None], pa.large_string()))
    assert masked[-1].as_py() is None
    assert len(find_pii(masked)) == 0
    for (text, expected), after in zip(CASES, masked.to_pylist(), strict=False):
        assert (after == text) == (not expected)
        numbers = [found for kind, found in expected if kind not in ("email", "ip")]
        assert all(re.sub(r"\d", "0", fold(number)) in fold(after) for number in numbers)


PIECES = st.sampled_from(
    [
        *("taro@seimai.jp", "03-1234-5678", "４１１１ １１１１ １１１１ １１１１", "203.104.153.10", "1234-5678-9018"),
        *("米", " ", "-", "7", ".", "電話", "+81", "@", "：", "2400:cb00::1:2", "(", ")", "a", "https://", "\n"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_spans_are_in_order_and_masking_is_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    rows = find_pii([text], kinds=KINDS).to_pylist()

    ends = [0]
    expected = ""
    for row in rows:
        assert ends[-1] <= row["start"] < row["end"] <= len(text)
        expected += text[ends[-1] : row["start"]] + row["replacement"]
        ends.append(row["end"])
    assert mask_pii([text], kinds=KINDS).to_pylist() == [expected + text[ends[-1] :]]


@pytest.mark.parametrize("unit", ["電話 03-1234-5678 ", "連絡は taro@seimai.jp、", "カード4111 1111 1111 1111を"])
def test_places_far_into_a_text_are_code_points(unit: str) -> None:
    text = "精米é𠮷" * 10_000 + unit
    assert finds(text) == finds(unit)
    assert finds(unit)


HOSTILE = {
    "digits": "1" * 1_000_000,
    "digits and hyphens": "0-" * 500_000,
    "digits and spaces": "12 " * 333_333,
    "telephone shapes": "03-1234-567" * 90_000,
    "at signs": "@" * 1_000_000,
    "letters and at signs": "a@" * 500_000,
    "domains without end": "a@" + "b." * 499_000,
    "long labels": ("a@" + "b-" * 100) * 5_000,
    "colons": ":" * 1_000_000,
    "hexadecimal colons": "a1:" * 333_333,
    "dots": "1." * 500_000,
    "brackets": "(0" * 500_000,
    "full width": "０－" * 160_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_on_a_line_of_one_megabyte(name: str) -> None:
    find_pii(["compiled 03-1234-5678 a@b.jp ::"])
    spent = []
    for text in (HOSTILE[name][:100_000], HOSTILE[name]):
        start = time.thread_time()
        find_pii([text])
        spent.append(time.thread_time() - start)
    assert spent[1] < 25 * spent[0] + 0.3
    assert spent[1] < 8


def test_planted_numbers_with_true_check_digits_are_found_and_others_not() -> None:
    chosen = random.Random(5)
    for _ in range(300):
        body = [chosen.randrange(10) for _ in range(11)]
        rest = sum(digit * weight for digit, weight in zip(body, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
        check = 0 if rest < 2 else 11 - rest
        for last in range(10):
            number = "".join(map(str, [*body, last]))
            found = [match.kind for match in find_numbers("個人番号" + number, 4)]
            assert ("my_number" in found) == (last == check), number


def test_addresses_are_masked_behind_the_municipality() -> None:
    texts = [
        "本社：〒100-0001 東京都千代田区千代田1-1 皇居ビル",
        "京都府京都市中京区寺町通御池上る上本能寺前町４８８番地です",
        "東京都の人口は1400万人です。",
    ]
    assert mask_pii(texts, kinds=["address"]).to_pylist() == [
        "本社：〒100-0001 東京都千代田区〇〇 皇居ビル",
        "京都府京都市中京区〇〇です",
        texts[2],
    ]
    assert len(find_pii(texts)) == 0
    assert not list(find_addresses("北海道"))


def test_counts_are_columns() -> None:
    texts = pa.array(["03-1234-5678 と 090-1234-5678、a@seimai.jp", None, "米"], pa.large_string())
    table = count_pii(texts, DEFAULT)
    assert table.column_names == list(PII_SIGNALS)
    assert table["n_pii_phone"].to_pylist() == [2, None, 0]
    assert table["n_pii_email"].to_pylist() == [1, None, 0]
    assert table["n_pii_address"].to_pylist() == [None, None, None]


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="'mail' is none of email"):
        find_pii(["x"], kinds=["mail"])  # type: ignore[list-item]
