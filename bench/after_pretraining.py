"""docs/after_pretraining.md as it stands on the demo's model: `python bench/after_pretraining.py`, about 3 minutes.

All blocks of the guide, commands and Python, run one behind the other in an empty folder on two cores. The demo is made
first where it is missing (its time is not counted). Exit code 1 where a block fails, a loss does not fall, or where
all blocks together take ten minutes or more.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "after_pretraining.md"
PACKAGES = ("torch", "transformers", "peft", "trl", "datasets", "torchao")
MOST_S = 600.0
TIMED = """
import json as _json, time as _time
from pathlib import Path as _Path
_times, _began = [], _time.perf_counter()
"""
LAP = """
_times.append(_time.perf_counter() - _began)
_began = _time.perf_counter()
"""
RESULTS = """
_losses = {"LoRA": lora_losses, "SFT": sft_losses, "DPO": dpo_losses, "distillation": distilled}
_found = {"times": _times, "losses": _losses, "eight_bits": eight_bit_divergence}
_Path("results.json").write_text(_json.dumps(_found))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="folder of `seimai demo`")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "after_pretraining", help="folder, emptied first")
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    seimai = [sys.executable, "-m", "seimai"]
    if not (given.demo / "model" / "final" / "config.json").is_file():
        subprocess.run([*seimai, "demo", "--out", str(given.demo)], check=True)
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    (given.out / "demo").symlink_to(given.demo.resolve())
    (given.out / "configs").symlink_to(ROOT / "configs")
    guide = GUIDE.read_text(encoding="utf-8")
    rows: list[tuple[str, float]] = []
    for block in re.findall(r"^```sh\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            began = time.perf_counter()
            subprocess.run([*seimai, *line.split()[1:]], cwd=given.out, check=True)
            rows.append((" ".join(line.split()[:3]), time.perf_counter() - began))
    blocks = re.findall(r"^## ([^\n]*)$|^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    script, names, title = [TIMED], [], ""
    for heading, code in blocks:
        title = heading or title
        if code:
            names.append(title)
            script += [code, LAP]
    (given.out / "guide.py").write_text("\n".join([*script, RESULTS]), encoding="utf-8")
    began = time.perf_counter()
    subprocess.run([sys.executable, "guide.py"], cwd=given.out, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=True)
    whole_s = time.perf_counter() - began + sum(spent for _, spent in rows)
    found = json.loads((given.out / "results.json").read_text(encoding="utf-8"))
    rows += zip(names, found["times"], strict=True)
    print("\nblock                                     seconds")
    for name, spent in rows:
        print(f"{name:40} {spent:8.1f}")
    print(f"{'all, with starting Python':40} {whole_s:8.1f}   goal: below {MOST_S:.0f}")
    failed = whole_s >= MOST_S
    for name, losses in found["losses"].items():
        print(f"{name:40} {losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps")
        failed |= not losses[-1] < losses[0]
    print(f"{'8 bits, nats a token from fp32':40} {found['eight_bits']:.1e}   goal: above 0 and below 0.01")
    return int(failed or not 0 < found["eight_bits"] < 0.01)


if __name__ == "__main__":
    sys.exit(main())
