"""Near-duplicates against labelled revisions of real pages: `python bench/dedup_quality.py [--datatrove PYTHON] …`.

Pages and pairs are those of the folder `neardup` under SEIMAI_DATA, or ../shared/data: exact Jaccard over shingles that
keep punctuation; ours are without it. PYTHON is the interpreter of an environment that holds the peer, which runs with
its defaults. Recall: pairs of at least 0.82 that share a cluster. Precision: pairs sharing a cluster that a chain of
pairs of at least 0.75 joins. Strict: 0.8 for both. Takes a minute with both peers, three seconds without.

Goals for our defaults: recall and precision of at least 0.98 in both languages; leaves with 1 else.
"""

import argparse
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seimai.pipeline.dedup import DedupConfig
from seimai.pipeline.duplicates import duplicate_clusters
from seimai.pipeline.pair_quality import PairQuality, Share, judge_languages, read_documents, read_pairs

THRESHOLD, GOAL = 0.8, 0.98
CONFIGS = {
    "seimai": DedupConfig(),
    "seimai olmo3, verified": DedupConfig(preset="olmo3"),
    "seimai fineweb": DedupConfig(preset="fineweb"),
    "seimai llmjp": DedupConfig(preset="llmjp"),
    "seimai 26 x 11, not verified": DedupConfig(num_perm=286, bands=26, rows=11, verify=False),
    "seimai swallow": DedupConfig(preset="swallow"),
}


def peer_clusters(peer: str, python: str, texts: list[str], langs: list[str]) -> tuple[str, NDArray[np.int64]]:
    """The peer's name with its version, and its clusters, each language by itself."""
    found, name = np.arange(len(texts)), peer
    script = Path(__file__).with_name("peer_clusters.py")
    for lang in sorted(set(langs)):
        rows = np.array([n for n, one in enumerate(langs) if one == lang])
        work = json.dumps({"lang": lang, "texts": [texts[n] for n in rows]})
        done = subprocess.run([python, str(script), peer], input=work, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        name = result["peer"]
        _, first, which = np.unique(result["clusters"], return_index=True, return_inverse=True)
        found[rows] = rows[first[which]]
    return name, found


def shown(share: Share) -> str:
    """A share with its interval."""
    return f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f})"


def print_rows(name: str, judged: list[PairQuality]) -> None:
    """A line for each language."""
    for quality in judged:
        if quality.lang == "all":
            continue
        print(
            f"{name:32} {quality.lang:4} {shown(quality.recall):20} {shown(quality.precision):20} {quality.f1:6.3f}",
            end="",
        )
        print(f"{quality.strict_recall.value:9.3f}{quality.strict_precision.value:9.3f}")


def main() -> int:
    """Machine, versions, the table, the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for peer in ("datatrove", "text-dedup"):
        parser.add_argument(f"--{peer}", dest=peer, help=f"python of an environment with {peer}")
    options = vars(parser.parse_args())
    root = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "neardup"
    documents = read_documents(root / "revisions_docs.dev.jsonl.gz")
    labels = read_pairs(root / "revisions_pairs.dev.jsonl.gz", documents["id"].to_pylist())
    texts, langs = documents["text"].to_pylist(), documents["lang"].to_pylist()
    print(
        f"{platform.machine()}, Python {platform.python_version()}, seimai {version('seimai')}; {len(texts)} documents,"
    )
    print(f"{len(labels.rows)} labelled pairs, {(labels.jaccard >= THRESHOLD).sum()} of at least {THRESHOLD}")
    print(f"{'':32} {'lang':4} {'recall':20} {'precision':20} {'F1':>6}{'strict R':>9}{'strict P':>9}")
    judged = {}
    for name, config in CONFIGS.items():
        clusters = duplicate_clusters(texts, lang=langs, config=config)
        judged[name] = judge_languages(clusters, labels, langs, threshold=THRESHOLD)
        print_rows(name, judged[name])
    for peer in ("datatrove", "text-dedup"):
        if options[peer]:
            name, clusters = peer_clusters(peer, options[peer], texts, langs)
            print_rows(name, judge_languages(clusters, labels, langs, threshold=THRESHOLD))
    for quality in judged["seimai"][:-1]:
        print(f"{'exact Jaccard with components':32} {quality.lang:4} {'':41} {'':6}{1.0:9.3f}{quality.ceiling:9.3f}")
    missed = [q.lang for q in judged["seimai"] if min(q.recall.value, q.precision.value) < GOAL]
    print(f"goal of {GOAL} missed: {', '.join(missed)}" if missed else f"recall and precision hold the goal of {GOAL}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
