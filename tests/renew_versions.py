"""What every stage's VERSION vouches for: `python tests/renew_versions.py` writes it to golden/stage_versions.json.

A stage whose source has changed gets another VERSION first, so that runs compute it again; `--same-bytes` takes the
new source under the old VERSION, for a change that writes no other byte.
"""

import ast
import hashlib
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "stage_versions.json"

STAGES: dict[str, tuple[str, ...]] = {
    "read": ("read.py", "document.py", "gates.py", "prefilter.py"),
    "warc": ("warc.py",),
    "payload": ("payload.py",),
    "charset": ("charset.py", "charset_japanese.py", "charset_labels.py", "charset_score.py"),
    "extract": (
        *("extract.py", "html_tables.py", "html_kernels.py", "html_scan.py", "html_blocks.py", "text_kernels.py"),
        *("block_features.py", "block_topic.py", "block_containers.py", "block_model.py", "block_model.npz"),
        *("block_choice.py", "block_context.py", "block_lists.py", "block_text.py"),
    ),
    "optout": ("optout.py",),
    "sandbox": ("sandbox.py", "sandbox_child.py"),
    "language": ("language.py", "language_codes.py", "language_kernels.py", "language_model.py"),
    "pii": ("pii.py", "pii_kernels.py", "pii_rules.py"),
    "quality_columns": (
        *("quality_columns.py", "quality_feed.py", "quality_kernels.py", "quality_model.py", "perplexity.py"),
    ),
    "rows_source": ("rows_source.py", "rows.py", "row_lines.py", "wikipedia.py", "wikitext.py"),
    "url_lists": ("url_lists.py", "url_kernels.py"),
    "measure": (
        *("measure.py", "signal_columns.py", "slice_counts.py", "text_kernels.py", "measure_kernels.py"),
        *("ngram_kernels.py", "agreement_kernels.py", "word_kernels.py", "space_kernels.py", "dclm_kernels.py"),
        *("stretch_kernels.py", "sentence_kernels.py", "pattern_kernels.py", "copy_kernels.py", "english_words.py"),
        *("english_tables.py", "cut_kernels.py"),
        *("wordlists.py", "list_kernels.py", "compression.py", "analyse.py", "unidic.py"),
        *("unicode_table.py", "unicode_14_0_0.npz", "marks_14_0_0.npz"),
    ),
    "dedup": ("dedup.py", "bands.py", "exact.py"),
    "shingles": (
        *("shingles.py", "fold_kernels.py", "shingle_kernels.py", "text_kernels.py"),
        *("unicode_table.py", "unicode_14_0_0.npz"),
    ),
    "edits": ("edits.py", "edit_kernels.py"),
    "line_rules": (
        *("line_rules.py", "line_rules.toml", "lines.py", "line_kernels.py", "text_kernels.py"),
        *("unicode_table.py", "unicode_14_0_0.npz"),
    ),
    "repeated_lines": ("repeated_lines.py", "repeated_kernels.py", "lines.py", "line_kernels.py", "text_kernels.py"),
    "presets": ("presets.py", "presets.toml"),
    "decide": ("decide.py", "judge.py"),
    "cluster": (
        *("cluster.py", "cluster_steps.py", "cluster_source.py", "candidates.py", "confirm.py", "components.py"),
        *("regroup.py", "jaccard.py", "band_kernels.py", "jaccard_kernels.py", "component_kernels.py"),
        *("dedup_index.py", "index_source.py"),
    ),
    "write": ("write.py",),
    "wet": ("wet.py",),
}
"""Modules of `pipeline` that hold a VERSION, and the files it stands for."""

Golden = dict[str, dict[str, Any]]


def _plain(value: Any) -> Any:
    """A syntax tree as lists, without places, comments, docstrings and what differs between Python versions."""
    if isinstance(value, ast.AST):
        fields = [(name, _plain(inner)) for name, inner in ast.iter_fields(value)]
        return [type(value).__name__, [(name, inner) for name, inner in fields if inner not in (None, [])]]
    if isinstance(value, list):
        return [_plain(inner) for inner in value if not _is_docstring(inner)]
    return value if value is None else repr(value)


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def source_digest(path: Path) -> str:
    """SHA-256 (hex) of what a file does: of code without comments and docstrings, of the bytes of other files."""
    data = path.read_bytes()
    if path.suffix == ".py":
        data = json.dumps(_plain(ast.parse(data)), separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()


def measured() -> Golden:
    """The VERSION of every stage and the digest of its files, as they are now."""
    found: Golden = {}
    for stage, names in STAGES.items():
        digests = [source_digest(ROOT / "pipeline" / name) for name in names]
        version = import_module(f"seimai.pipeline.{stage}").VERSION
        found[stage] = {"version": version, "sha256": hashlib.sha256("".join(digests).encode()).hexdigest()}
    return found


def unversioned(old: Golden, new: Golden) -> list[str]:
    """Stages whose source differs under the same VERSION."""
    known = [stage for stage in new if stage in old and old[stage]["version"] == new[stage]["version"]]
    return [stage for stage in known if old[stage]["sha256"] != new[stage]["sha256"]]


def main(arguments: list[str]) -> int:
    """Write the golden file; 1 when a stage needs another VERSION first."""
    old: Golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    new = measured()
    wrong = unversioned(old, new)
    if wrong and arguments != ["--same-bytes"]:
        names = ", ".join(f"pipeline/{stage}.py" for stage in wrong)
        print(f"raise VERSION in {names} first; or add --same-bytes when not one byte of a run's files differs")
        return 1
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")
    print(f"{GOLDEN.relative_to(ROOT)}: {len(new)} stages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
