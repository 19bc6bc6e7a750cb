"""Write a columnar index of a crawl with Common Crawl's schema and made-up pages: `make_index.py FOLDER`.

Takes about 20 s for a million rows. Hosts, languages, digests and places of records are drawn with a seed; the rows are
sorted by SURT key as the real index is, over several files, in row groups of 100,000 rows.
"""

import argparse
import base64
import hashlib
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.common_crawl import INDEX_SCHEMA, SNAPSHOT

LANGUAGES = {
    "eng": 0.44,
    "rus": 0.06,
    "deu": 0.055,
    "jpn": 0.049,
    "fra": 0.045,
    "zho": 0.05,
    "spa": 0.045,
    "nld": 0.256,
}
"""Shares of first languages, about those of 2024 (the last stands for all others)."""
TLDS = ("com", "org", "net", "jp", "de", "ru")


def make_index(folder: Path, *, rows: int, files: int, archives: int, seed: int = 1) -> list[Path]:
    """Write `files` Parquet files about `rows` records in `archives` archives; returns their paths."""
    draw = np.random.default_rng(seed)
    host = draw.zipf(1.3, rows) % (rows // 20 + 1)
    tld = host % len(TLDS)
    surt = [
        f"{TLDS[t]},host{h:07d})/page/{n}" for n, (h, t) in enumerate(zip(host.tolist(), tld.tolist(), strict=True))
    ]
    order = np.argsort(np.array(surt))
    archive = draw.integers(0, archives, rows)
    length = np.minimum(draw.lognormal(9.6, 1.1, rows).astype(np.int64) + 300, 1 << 20)
    by_archive = np.lexsort((draw.random(rows), archive))
    ends = np.cumsum(length[by_archive] * 2)  # request and metadata records lie between responses
    firsts = np.r_[True, np.diff(archive[by_archive]) != 0]
    base = np.maximum.accumulate(np.where(firsts, ends - length[by_archive] * 2, 0))
    offset = np.empty(rows, np.int64)
    offset[by_archive] = ends - length[by_archive] * 2 - base
    names = [
        f"crawl-data/{SNAPSHOT}/segments/17330660{n % 100:05d}.1/warc/"
        f"CC-MAIN-20241201000000-20241201030000-{n:05d}.warc.gz"
        for n in range(archives)
    ]
    languages = np.array(list(LANGUAGES))[draw.choice(len(LANGUAGES), rows, p=np.array(list(LANGUAGES.values())))]
    written = []
    for number, part in enumerate(np.array_split(order, files)):
        path = folder / f"cc-index/table/cc-main/warc/crawl={SNAPSHOT}/subset=warc/part-{number:05d}.c000.gz.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        picked = part.tolist()
        hosts = [f"www.host{host[n]:07d}.{TLDS[tld[n]]}" for n in picked]
        columns: dict[str, object] = {
            "url_surtkey": [surt[n] for n in picked],
            "url": [f"https://{h}/page/{n}" for h, n in zip(hosts, picked, strict=True)],
            "url_host_name": hosts,
            "url_host_tld": [TLDS[tld[n]] for n in picked],
            "url_host_registered_domain": [h.removeprefix("www.") for h in hosts],
            "url_protocol": ["https"] * len(picked),
            "url_path": [f"/page/{n}" for n in picked],
            "fetch_time": pa.array(1_733_000_000_000 + part * 1000 % 864_000_000, pa.timestamp("ms")),
            "fetch_status": pa.array(np.full(len(picked), 200), pa.int16()),
            "content_digest": [base64.b32encode(hashlib.sha1(str(n).encode()).digest()).decode() for n in picked],
            "content_mime_type": ["text/html"] * len(picked),
            "content_mime_detected": ["text/html" if n % 40 else "application/pdf" for n in picked],
            "content_charset": ["UTF-8"] * len(picked),
            "content_languages": [
                f"{c},eng" if n % 5 == 0 else str(c) for c, n in zip(languages[part], picked, strict=True)
            ],
            "warc_filename": [names[archive[n]] for n in picked],
            "warc_record_offset": pa.array(offset[part], pa.int32()),
            "warc_record_length": pa.array(length[part], pa.int32()),
            "warc_segment": [names[archive[n]].split("/")[3] for n in picked],
        }
        empty = pa.nulls(len(picked))
        arrays = [
            pa.array(columns.get(f.name, empty), f.type) if f.name in columns else pa.nulls(len(picked), f.type)
            for f in INDEX_SCHEMA
        ]
        pq.write_table(pa.table(arrays, schema=INDEX_SCHEMA), path, compression="gzip", row_group_size=100_000)
        written.append(path)
    return written


def main() -> None:
    """Read the options and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--archives", type=int, default=40)
    options = parser.parse_args()
    for path in make_index(options.folder, rows=options.rows, files=options.files, archives=options.archives):
        print(path)


if __name__ == "__main__":
    main()
