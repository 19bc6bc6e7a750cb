"""A training's kept checkpoints and prompts in; what each of them writes out, gathered over time in samples.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seimai.files import canonical_json, read_json, write_atomic

from .generate import Sampling, generate

__all__ = ["read_samples", "write_samples"]


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """Samples taken so far: objects of step, prompt and text, in order of (prompt's first use, step)."""
    path = folder / "samples.json"
    found: list[dict[str, Any]] = read_json(path)["samples"] if path.exists() else []
    return found


def write_samples(
    folder: Path, prompts: Sequence[str], *, max_new_tokens: int = 48, seed: int = 0
) -> list[dict[str, Any]]:
    """Let every checkpoint that is kept, and the final model, go on from the prompts; all samples there are now.

    A sample is written once and stays in samples.json when its checkpoint is deleted, so that the same prompts asked
    for now and then during a training show how its text changes. All steps draw with the same seed.
    """
    known = read_samples(folder)
    order = list(dict.fromkeys([*(each["prompt"] for each in known), *prompts]))
    for step, model in _models(folder):
        missing = [p for p in dict.fromkeys(prompts) if not any(s["step"] == step and s["prompt"] == p for s in known)]
        for prompt in missing:
            # Alone, because the stream of draws belongs to a prompt's number.
            (text,) = generate(model, [prompt], sampling=Sampling(max_new_tokens=max_new_tokens, seed=seed))
            known.append({"step": step, "prompt": prompt, "text": text})
    known.sort(key=lambda each: (order.index(each["prompt"]), each["step"]))
    if known:
        write_atomic(folder / "samples.json", canonical_json({"samples": known}) + "\n")
    return known


def _models(folder: Path) -> list[tuple[int, Path]]:
    """Steps finished and folder of every model that is whole."""
    written = (path.parent for path in (folder / "checkpoints").glob("step-*/tokenizer.json") if not path.parent.suffix)
    found = {int(path.name.removeprefix("step-")): path for path in written}
    final = folder / "final"
    if (final / "config.json").is_file():
        found[int(read_json(final / "config.json")["step"])] = final
    return sorted(found.items())
