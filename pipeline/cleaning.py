"""Section [cleaning]: which steps take furniture out of the texts, and what each of them is made of."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from seimai.config import Section

from .line_rules import rule_list

__all__ = ["CleaningConfig", "line_rules_parts"]


class CleaningConfig(Section):
    """Section [cleaning]: lines that are cut before anything is measured; the texts themselves are kept as read."""

    line_rules: dict[str, list[str]] = Field(default={"ja": ["web-ja"], "en": ["web-en"]})
    """Lists of line rules by language: names of shipped lists, or files that end in .toml."""

    host_min_pages: int = Field(default=10, ge=0)
    """Pages a host must have before its templates are cut; 0 cuts none."""
    host_share: float = Field(default=0.3, gt=0.0, le=1.0)
    """Share of a host's pages on which a line must stand to be cut."""
    host_max_cut: float = Field(default=0.5, ge=0.0, le=1.0)
    """A page that would lose a larger share of its characters to its host's templates stays whole."""
    corpus: Literal["off", "first", "all"] = "off"
    """What is cut of a paragraph with too many copies in the corpus: nothing, all but the first ones, or all."""
    corpus_max_copies: int = Field(default=1, ge=1)
    """Copies of a paragraph in the corpus that are not too many."""
    corpus_min_chars: int = Field(default=30, ge=1)
    """Least length of such a paragraph, without white space and punctuation."""
    memory_mb: int = Field(default=200, ge=1)
    """Memory of a task that looks for repeated lines, about, in MB."""

    @property
    def repeated(self) -> bool:
        """Whether repeated lines are looked for."""
        return self.host_min_pages > 0 or self.corpus != "off"

    @model_validator(mode="after")
    def _lists_exist(self) -> Self:
        for names in self.line_rules.values():
            for name in names:
                rule_list(name)
        return self


def line_rules_parts(config: CleaningConfig) -> dict[str, Any]:
    """What the line rules of a run are made of: every rule of every list, for the stage's fingerprint."""
    return {
        lang: [rule_list(name).model_dump(mode="json", exclude={"note", "source"}) for name in names]
        for lang, names in sorted(config.line_rules.items())
    }
