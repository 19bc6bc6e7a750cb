"""The model over blocks: what it keeps of pages of many kinds, and that its trees are summed as they were grown."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline import block_model
from seimai.pipeline.block_features import N_FEATURES, features_of
from seimai.pipeline.block_model import Trees, keep_blocks, load_trees, masks_of, scores_of
from seimai.pipeline.extract import extract_text
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page

JA = "精米は玄米から糠層を取り除く工程である。水分と温度を見ながら、少しずつ削っていくので、時間がかかる。"
EN = "Polishing takes the bran off brown rice. It is done slowly, and the millers watch how warm the grain becomes. "
NAV = "".join(
    f'<li><a href="/{word}">{word}</a>' for word in ("Home", "News", "Shop", "About", "Contact", "お問い合わせ")
)


def layout(body: str, *, old: bool) -> str:
    """A page around a body: with elements that say what they are, or with a table as in the 1990s."""
    if old:
        return (
            f"<html><body><table><tr><td width=150><ul>{NAV}</ul></td><td>{body}</td></tr></table><hr>"
            '<font size=-1><a href="/">トップ</a> | <a href="/l">リンク</a> Copyright (C) 2001 Komeya</font>'
        )
    return (
        f"<html><head><title>x</title></head><body><header><nav><ul>{NAV}</ul></nav></header>"
        f"<main><article>{body}</article></main><aside class=sidebar><h3>Ranking</h3><ul>{NAV * 3}</ul></aside>"
        '<div class="cookie-consent"><p>We use cookies to make this site better. <button>Accept</button></p></div>'
        "<div id=comments><h3>コメント</h3><div class=comment>すごい！</div></div>"
        "<footer><p>Copyright 2024 Komeya. All rights reserved.</p></footer></body></html>"
    )


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("text", [JA, EN])
def test_the_article_and_nothing_else(text: str, old: bool) -> None:
    paragraphs = [f"{text * 3}{number}" for number in range(6)]
    found = extract_text(layout("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs), old=old)).text
    assert [part for part in paragraphs if part not in found] == []
    assert not [word for word in ("Ranking", "cookies", "Shop", "All rights", "リンク") if word in found]


def test_line_breaks_make_paragraphs_too() -> None:
    body = "<br><br>".join(f"{JA * 2}<br>{number}行目である。" for number in range(6))
    found = extract_text(layout(body, old=True)).text
    assert found.count(JA) == 12
    assert "お問い合わせ" not in found


def test_tables_and_code_of_an_article_are_kept() -> None:
    code = "for grain in rice:\n    polish(grain, seconds=30)\n\nprint(total)"
    rows = "".join(f"<tr><td>{n}分<td>{90 - n}%の歩留まり、温度は{20 + n}度</tr>" for n in range(5))
    prose = f"<p>{JA * 3}</p>"
    body = f"<h2>手順</h2>{prose}<pre><code>{code}</code></pre>{prose}<table>{rows}</table>{prose * 2}"
    found = extract_text(layout(body, old=False)).text
    assert code in found
    assert "3分\t87%の歩留まり、温度は23度" in found


@pytest.mark.parametrize("page", ["x", "<p>精米", "<title>t</title><body>Short.", "<table><td>一行だけ。"])
def test_a_tiny_page_is_all_text(page: str) -> None:
    assert extract_text(page).text in ("x", "精米", "Short.", "一行だけ。")


@pytest.mark.parametrize("page", ["", "<p>", "<script>1</script>", "<a href=/></a>", "<select><option>a</select>"])
def test_a_page_without_text_has_none(page: str) -> None:
    assert extract_text(page).text == ""


def test_features_are_finite_and_the_same_twice() -> None:
    scan = scan_page(layout(f"<h1>x</h1><p>{EN * 5}</p>" * 3, old=False).encode())
    blocks = blocks_of(scan)
    rows = features_of(scan, blocks)
    assert rows.shape == (len(blocks.blocks), N_FEATURES)
    assert np.isfinite(rows).all()
    assert (features_of(scan, blocks) == rows).all()


@given(
    st.lists(st.sampled_from(["<p>", "<div>", "<a>", "</a>", "x ", "米。", "<h1>", "<td>", "<li>", "</div>", "&#x"]))
)
def test_any_page_has_finite_features(pieces: list[str]) -> None:
    scan = scan_page("".join(pieces).encode())
    blocks = blocks_of(scan)
    assert np.isfinite(features_of(scan, blocks)).all()
    assert len(keep_blocks(scan, blocks)) == len(blocks.blocks)


def by_hand(row: list[float], trees: Trees) -> float:
    total = 0.0
    for root in trees.roots.tolist():
        node = root
        while node >= 0:
            went_left = row[trees.features[node]] <= trees.thresholds[node]
            node = int((trees.left if went_left else trees.right)[node])
        total += float(trees.leaves[-1 - node])
    return total


def test_trees_are_summed_as_written() -> None:
    rows = np.random.default_rng(1).uniform(0, 8, (20, N_FEATURES)).astype(np.float32)
    trees = load_trees()
    expected = [by_hand(row, trees) for row in rows.tolist()]
    assert scores_of(rows, masks_of(trees)).tolist() == pytest.approx(expected, abs=1e-5)


def test_trees_of_all_shapes_are_read() -> None:
    def arrays(left: list[int], right: list[int], n_leaves: int) -> Trees:
        values = (np.zeros(len(left)), np.arange(len(left)), left, right, np.arange(n_leaves), [0 if left else -1])
        kinds = (np.int16, np.float32, np.int32, np.int32, np.float32, np.int32)
        return Trees(*(np.asarray(value, kind) for value, kind in zip(values, kinds, strict=True)))

    rows = np.arange(-1, 40, dtype=np.float32)[:, None]
    inner, ends = list(range(1, 31)), [-1 - leaf for leaf in range(31)]
    for trees in (
        arrays([], [], 1),
        arrays([-1], [-2], 2),
        arrays(ends, [*inner, -32], 32),
        arrays([*inner, -32], ends, 32),
    ):
        assert scores_of(rows, masks_of(trees)).tolist() == [by_hand(row, trees) for row in rows.tolist()]
    with pytest.raises(ValueError, match="a tree of 33 leaves"):
        masks_of(arrays([*ends, -32], [*inner, 31, -33], 33))


def test_the_shipped_trees_are_trees() -> None:
    trees = load_trees()
    children = np.concatenate([trees.left, trees.right])
    inner = sorted([*children[children >= 0].tolist(), *trees.roots[trees.roots >= 0].tolist()])
    assert inner == list(range(len(trees.features)))
    assert sorted(-1 - children[children < 0]) == list(range(len(trees.leaves)))
    assert trees.features.max() < N_FEATURES


def test_a_model_for_other_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    load_trees.cache_clear()
    monkeypatch.setattr(block_model, "N_FEATURES", 7)
    with pytest.raises(ValueError, match=rf"block_model.npz is for {N_FEATURES} features a block, not 7"):
        load_trees()
    load_trees.cache_clear()


@pytest.mark.parametrize("unit", ["<p>x y z. ", "<div>", "<li><a href=/>x</a>", "<td>米", "<h1>same title</h1>"])
def test_large_pages_take_linear_time(unit: str) -> None:
    extract_text("<p>compiled")
    page = "<title>same title</title>" + unit * 40_000
    started = time.process_time()
    extract_text(page)
    assert time.process_time() - started < 5.0
