"""The configuration of a run, and the fingerprints of its stages that follow from it."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from seimai.config import Section
from seimai.files import fingerprint, sha256_file

from . import (
    charset,
    dedup,
    edits,
    extract,
    language,
    line_rules,
    measure,
    optout,
    payload,
    pii,
    read,
    rows_source,
    sandbox,
    shingles,
    url_lists,
    warc,
)
from .canary_config import CanariesConfig
from .cleaning import CleaningConfig, line_rules_parts
from .dedup import DedupConfig
from .document import HeldOutConfig
from .extract import ExtractConfig
from .fetch_config import FetchConfig
from .gates import GatesConfig
from .inputs import InputConfig
from .language import MIN_LANG_SCORE, LanguageConfig, language_model
from .own_columns import OWN_NAME
from .perplexity import PerplexityConfig
from .pii import PiiConfig
from .presets import QualityConfig
from .quality_columns import model_parts, unscored_rule
from .quality_model import QualityModelConfig
from .signal_config import SignalsConfig, signals_parts
from .url_lists import url_list_digests
from .write import OutputConfig

__all__ = ["MAP_STAGES", "READING", "RunConfig", "package_versions", "reading_differences", "stage_fingerprints"]

PAGE_LANG_SCORE = 0.5
"""For English pages: identifiers in a manual cost it a third of its score, and three sentences that are not English
never reach this much (NTREX, 128 languages). Sentences by themselves want MIN_LANG_SCORE."""

MAP_STAGES = ("read", "line_rules", "signals", "signatures")

READING = ("input", "gates", "extract", "language", "held_out")
"""Sections that decide how a page is read; a run directory keeps them for life."""
_NOT_READING = {"input": {"paths", "contact"}}

_READERS = (read, warc, payload, charset, extract, optout, sandbox, language, url_lists, rows_source)
_PACKAGES = ("fastwarc", "resiliparse", "trafilatura", "fasttext-community", "pyarrow", "numpy", "numba", "dask")


class RunConfig(Section):
    """A run: archives in, shards out."""

    input: InputConfig = InputConfig()
    """The archives and how they are cut into parts."""
    fetch: FetchConfig = FetchConfig()
    """How archives of a crawl are chosen and come; changes no text."""
    gates: GatesConfig = GatesConfig()
    """Early tests; loosening one reads the archives again."""
    extract: ExtractConfig = ExtractConfig()
    """Main text from HTML."""
    language: LanguageConfig = LanguageConfig()
    """Language identification."""
    cleaning: CleaningConfig = CleaningConfig()
    """Lines that are cut from the texts before anything is measured."""
    signals: SignalsConfig = SignalsConfig()
    """Signals beyond those that the rules ask for, and word lists."""
    quality: dict[str, QualityConfig] = Field(
        default={
            "ja": QualityConfig(preset="web-ja", min_lang_score=MIN_LANG_SCORE),
            "en": QualityConfig(preset="web-en", min_lang_score=PAGE_LANG_SCORE),
        }
    )
    """Rules by language; thresholds may be changed at any time."""
    quality_model: QualityModelConfig = QualityModelConfig()
    """A classifier whose score is the column quality."""
    perplexity: dict[str, PerplexityConfig] = {}
    """KenLM models by language."""
    dedup: DedupConfig = DedupConfig()
    """Near-duplicates."""
    pii: PiiConfig = PiiConfig()
    """Personal data."""
    held_out: HeldOutConfig = HeldOutConfig()
    """Documents kept for evaluation."""
    output: OutputConfig = OutputConfig()
    """The shards."""
    canaries: CanariesConfig = CanariesConfig()
    """Documents whose fate is known."""

    @model_validator(mode="after")
    def _own_columns_are_declared(self) -> Self:
        for lang, section in self.quality.items():
            for rule in section.add:
                if OWN_NAME.fullmatch(rule.column) and rule.column not in self.signals.own:
                    raise ValueError(f"quality.{lang}.add: {rule.column} is not declared; add it to [signals.own]")
        return self

    @model_validator(mode="after")
    def _rules_have_their_models(self) -> Self:
        if wrong := unscored_rule(self.quality, self.quality_model, self.perplexity):
            raise ValueError(wrong)
        return self


def package_versions() -> dict[str, str]:
    """Versions of the packages that may change what a run writes; absent ones are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=4)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)


def stage_fingerprints(config: RunConfig) -> dict[str, str]:
    """What each map stage is made of, apart from its input: code version, packages, models, its part of the config."""
    model = language_model(Path(config.language.model) if config.language.model else None)
    stat = model.stat()
    packages = package_versions()
    reading = config.model_dump(mode="json", include=set(READING))
    for section, keys in _NOT_READING.items():
        reading[section] = {key: value for key, value in reading[section].items() if key not in keys}
    signing = config.dedup.signing()
    used = {
        "read": ("fastwarc", "resiliparse", "trafilatura", "fasttext-community", "pyarrow", "numpy", "numba"),
        "line_rules": ("pyarrow",),
        "signals": ("pyarrow",),
        "signatures": ("pyarrow",),
    }
    parts: dict[str, dict[str, object]] = {
        "read": {
            "versions": [m.VERSION for m in _READERS],
            "model": _file_digest(model, stat.st_size, stat.st_mtime_ns),
            "config": reading,
            "urls": url_list_digests(config.gates.urls),
        },
        "line_rules": {"versions": [line_rules.VERSION], "rules": line_rules_parts(config.cleaning)},
        "signals": {
            "versions": [measure.VERSION, edits.VERSION, pii.VERSION],
            "config": signals_parts(config.signals, config.quality),
            "pii": sorted(set(config.pii.count)),
            "models": model_parts(config.quality_model, config.perplexity),
        },
        "signatures": {"versions": [dedup.VERSION, shingles.VERSION, edits.VERSION], "config": signing},
    }
    return {
        stage: fingerprint({"stage": stage, "packages": {p: packages.get(p) for p in used[stage]}, **parts[stage]})
        for stage in MAP_STAGES
    }


def reading_differences(old: RunConfig, new: RunConfig) -> list[str]:
    """Keys of the reading sections that differ, as section.key.

    >>> reading_differences(RunConfig(), RunConfig(input=InputConfig(part_bytes=1)))
    ['input.part_bytes']
    """
    found = []
    for section in READING:
        before, after = getattr(old, section).model_dump(), getattr(new, section).model_dump()
        keys = set(before) - _NOT_READING.get(section, set())
        found += [f"{section}.{key}" for key in sorted(keys) if before[key] != after[key]]
    return found
