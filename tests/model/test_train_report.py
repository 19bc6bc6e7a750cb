"""The page of a real training: complete, without anything from elsewhere, and drawn by a headless Chromium."""

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from seimai.config import parse_config
from seimai.errors import RunError
from seimai.model.metrics import read_metrics
from seimai.model.train import train
from seimai.model.train_config import TrainConfig
from seimai.model.train_report import write_train_report
from seimai.model.training_samples import write_samples
from seimai.model.training_series import keep_lengths

pytest.importorskip("bokeh", reason="needs bokeh: pip install 'seimai[report]'")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000", "--dump-dom"),
)
# Put before all other scripts; tells what was drawn by an attribute, which --dump-dom shows.
PROBE = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.violatedDirective + " " + event.blockedURI));
function canvases(node) {
  const found = [...node.querySelectorAll("canvas")];
  for (const each of node.querySelectorAll("*")) if (each.shadowRoot) found.push(...canvases(each.shadowRoot));
  return found;
}
function drawn(canvas) {
  if (!canvas.width || !canvas.height) return false;
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
}
const timer = setInterval(() => {
  const documents = window.Bokeh ? Bokeh.documents : [];
  // A document enters the list when its own turn comes: idle ones alone do not say that all have come.
  const figures = document.getElementById("figures");
  const expected = figures ? JSON.parse(figures.textContent).length : Infinity;
  const ready = documents.length >= expected && documents.every((each) => each.is_idle);
  if (ready || errors.length) clearInterval(timer);
  const seen = { errors, documents: documents.length, drawn: canvases(document).filter(drawn).length };
  document.documentElement.dataset.seen = JSON.stringify(seen);
}, 50);
</script>"""


class Elements(HTMLParser):
    """Names and attributes of all elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def figures_of(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id=figures>(.*?)</script>', page, re.DOTALL)
    assert found
    return list(json.loads(found[1]))


def titles(node: Any) -> list[str]:
    """Titles of all figures of a Bokeh document, in order."""
    if isinstance(node, list):
        return [title for each in node for title in titles(each)]
    if not isinstance(node, dict):
        return []
    own = [node["attributes"]["text"]] if node.get("name") == "Title" and "text" in node.get("attributes", {}) else []
    return own + titles(list(node.values()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config: TrainConfig, small_tokens: Path) -> Path:
    """Twelve steps, of which hardly any is not a spike, with everything that can be logged."""
    plain = tiny_config.model_dump()
    loop = {"loss_by_every": 3, "evaluate_every": 6, "keep_last": 2, "spike_sigmas": 0.01, "spike_window": 2}
    config = parse_config({**plain, "train": {**plain["train"], **loop}}, TrainConfig, place="test")
    out = tmp_path_factory.mktemp("trained") / "a <b> model"
    train(config, small_tokens, out)
    keep_lengths(out, "none", {32: 5.0, 64: 5.2, 128: None})
    return out


def test_the_page_is_complete(trained: Path) -> None:
    path = write_train_report(trained, prompts=["Rice</script><b>", "精米"])
    page = path.read_text(encoding="utf-8")
    assert path == trained / "report.html"
    training, lengths = figures_of(page)
    assert titles(training["doc"]) == [
        "Loss",
        "Loss by language",
        "Loss by source",
        "Loss by decile of quality (1 the lowest, none without a score)",
        "Loss by position in the document (from the power of two named on)",
        "Held-out text",
        "Learning rate",
        "Gradient norm, before clipping",
        "Throughput",
        "Share of a step spent waiting for data",
        "Share of places without a token",
        "Memory in use",
        "Model FLOPs utilisation, by convention",
    ]
    assert titles(lengths["doc"]) == ["Longer texts than were trained, same targets"]
    losses = [line["loss"] for line in read_metrics(trained / "metrics.jsonl")]
    assert losses in arrays(training["doc"])
    spikes = sorted((trained / "spikes").glob("step-*.json"))
    assert len(spikes) >= 2
    assert page.count("<details>") == len(spikes)
    worst = json.loads(spikes[-1].read_text(encoding="utf-8"))["documents"][0]
    assert f"<td class=t>{worst['loss']:.3f}</td>" in page
    assert worst["url"] in page
    # Two checkpoints are kept; the final model is the last of them.
    assert page.count(f"<td class=t>{html.escape('Rice</script><b>')}</td>") == 2
    assert "a &lt;b&gt; model" in page


def arrays(node: Any) -> list[list[float]]:
    """All arrays of fp64 in a Bokeh document; they stand in it packed."""
    if isinstance(node, list):
        return [array for each in node for array in arrays(each)]
    if not isinstance(node, dict):
        return []
    if node.get("type") == "ndarray" and node["dtype"] == "float64":
        data = base64.b64decode(node["array"]["data"])
        return [np.frombuffer(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).tolist()]
    return arrays(list(node.values()))


def test_nothing_comes_from_elsewhere(trained: Path) -> None:
    page = write_train_report(trained).read_text(encoding="utf-8")
    elements = Elements(page).found
    assert {"script", "div", "table", "details"} <= {tag for tag, _ in elements}
    assert [tag for tag, _ in elements if tag in ("link", "img", "iframe", "object", "embed", "base")] == []
    assert [attrs for _, attrs in elements if attrs.keys() & {"src", "href", "style"}] == []
    (policy,) = [attrs["content"] or "" for _, attrs in elements if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_the_same_logs_give_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    first, second = (write_train_report(trained, tmp_path / name) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()


def test_chromium_draws_it(trained: Path, tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    page = write_train_report(trained, positions=compared(tmp_path)).read_text(encoding="utf-8")
    probed = tmp_path / "probed.html"
    probed.write_text(page.replace("<title>", PROBE + "<title>", 1), encoding="utf-8")
    command = [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    told = re.search(r'data-seen="(.*?)"', dom)
    assert told, dom[-2000:]
    seen = json.loads(html.unescape(told[1]))
    assert seen["errors"] == []
    assert seen["documents"] == 3
    # 13 figures of the training, one of lengths, two of positions.
    assert seen["drawn"] >= 16


def compared(folder: Path) -> Path:
    """What `seimai compare-positions` writes about two kinds."""
    cell = {"mean": 3.0, "sd": 0.1}
    against = {"positions": "rope", "difference": 0.1, "low": 0.05, "high": 0.2, "verdict": "worse"}
    row = {"scaling": "none", "bits_per_byte": cell, "bits_per_byte_by_lang": {"ja": cell}, "against": against}
    rows = [
        {**row, "positions": "rope", "nats_by_length": [cell, cell], "nats_by_position": [3.0, 2.0, 2.5]},
        {**row, "positions": "rope", "scaling": "yarn", "nats_by_length": [cell, cell], "nats_by_position": [3.0]},
        {**row, "positions": "learned", "nats_by_length": [cell, None], "nats_by_position": None},
    ]
    facts = {"lengths": [1, 2], "row_tokens": 32, "seeds": 2, "documents": 9, "windows": 4, "rows": rows}
    (folder / "positions.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def test_a_comparison_is_shown_alone_and_beside_its_trainings(trained: Path, tmp_path: Path) -> None:
    alone = write_train_report(compared(tmp_path)).read_text(encoding="utf-8")
    assert [figure["target_id"] for figure in figures_of(alone)] == ["positions"]
    assert "<td class=t>+10.0% (+5.0% to +20.0%): worse</td>" in alone
    assert "<td class=t>n/a</td>" in alone
    part = tmp_path / "rope" / "seed-0"
    shutil.copytree(trained, part)
    beside = write_train_report(part).read_text(encoding="utf-8")
    assert [figure["target_id"] for figure in figures_of(beside)] == ["training", "lengths", "positions"]
    with pytest.raises(RunError, match=r"--prompt: .* holds no training of its own; give the folder of one"):
        write_train_report(tmp_path, prompts=["a"])


def test_samples_stay_when_their_checkpoint_is_gone(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    (folder / "samples.json").unlink(missing_ok=True)
    first = write_samples(folder, ["Rice"], max_new_tokens=4)
    assert [each["step"] for each in first] == [8, 12]
    shutil.rmtree(folder / "checkpoints" / "step-00000008")
    both = write_samples(folder, ["水", "Rice"], max_new_tokens=4)
    assert [(each["prompt"], each["step"]) for each in both] == [("Rice", 8), ("Rice", 12), ("水", 12)]
    assert both[:2] == first


def test_mistakes(tmp_path: Path) -> None:
    from seimai.cli import app

    result = CliRunner().invoke(app, ["train-report", str(tmp_path)])
    assert "no step of a training there" in str(result.exception)
    with pytest.raises(RunError, match=r"--positions .*: no positions.json; give the --out of"):
        write_train_report(tmp_path, positions=tmp_path)
