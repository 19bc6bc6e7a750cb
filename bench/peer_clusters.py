"""Near-duplicates by another toolkit with its defaults: `PEER_PYTHON bench/peer_clusters.py PEER < in > out`.

In: JSON, `lang` (ja or en) and `texts`. Out: JSON, `peer` (name, version, settings) and `clusters` (a number for each
text; texts alone have numbers of their own). Runs in the peer's environment, never in ours.
"""

import importlib.metadata
import json
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

Clusters = list[int]


def datatrove(lang: str, texts: list[str], folder: Path) -> tuple[str, Clusters]:
    """FineWeb's four steps up to the clusters: words (Sudachi's for Japanese), 5-grams, 14 buckets of 8."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.typeshelper import Languages

    config = MinhashConfig()
    language = Languages.japanese if lang == "ja" else Languages.english
    documents = (Document(text=text, id=str(n)) for n, text in enumerate(texts))
    MinhashDedupSignature(str(folder / "signatures"), config, language).run(documents, 0, 1)
    for bucket in range(config.num_buckets):
        step = MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)
        step.run(None, bucket, config.num_buckets)
    cluster = MinhashDedupCluster(str(folder / "buckets"), str(folder / "clusters"), config, save_cluster_id=True)
    cluster.run(None, 0, 1)
    found = list(range(len(texts)))
    for path in sorted((folder / "clusters").glob("*.clusters")):
        for document, number in struct.iter_unpack("<II", path.read_bytes()):
            found[document] = len(texts) + number
    return f"{config.num_buckets} x {config.hashes_per_bucket}", found


def text_dedup(lang: str, texts: list[str], folder: Path) -> tuple[str, Clusters]:
    """Its command with its defaults: 250 permutations, threshold 0.7, words by \\W, texts under 5 words left out."""
    from text_dedup import minhash

    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "in.jsonl").write_text(lines, encoding="utf-8")
    options = [
        *("--path", "json", "--data_files", str(folder / "in.jsonl"), "--split", "train", "--column", "text"),
        *("--output", str(folder / "out"), "--cache_dir", str(folder), "--num_proc", "1"),
    ]
    minhash.main.main(options, standalone_mode=False)
    # It numbers the texts as they come and keeps its clusters in a module's variable.
    found = [minhash.uf.find(n) for n in range(len(texts))]
    return "threshold 0.7", found


PEERS: dict[str, Callable[[str, list[str], Path], tuple[str, Clusters]]] = {
    "datatrove": datatrove,
    "text-dedup": text_dedup,
}


def main() -> None:
    """One peer, one language."""
    peer, work = sys.argv[1], json.load(sys.stdin)
    out, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        settings, found = PEERS[peer](work["lang"], work["texts"], Path(folder))
    name = f"{peer} {importlib.metadata.version(peer)}, {settings}"
    json.dump({"peer": name, "clusters": found}, out)


if __name__ == "__main__":
    main()
