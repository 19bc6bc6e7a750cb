"""Speed of the signals on one core: `python bench/signals.py FILE.jsonl.zst…` prints MB of UTF-8 per second."""

import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from seimai.pipeline.measure import signals


def main(paths: list[str]) -> None:
    """One line a file: megabytes, seconds (best of three), MB/s."""
    signals(["compiles the kernels first"], "en")
    for path in paths:
        with pa.input_stream(path, compression="zstd") as stream:
            texts = pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()
        megabytes = sum(len(text.as_buffer()) for text in texts) / 1e6
        lang = Path(path).name.partition("_")[0]
        seconds = []
        for _ in range(3):
            start = time.process_time()
            signals(texts, lang)
            seconds.append(time.process_time() - start)
        print(f"{Path(path).name:40} {megabytes:8.1f} MB {min(seconds):8.2f} s {megabytes / min(seconds):8.1f} MB/s")


if __name__ == "__main__":
    main(sys.argv[1:])
