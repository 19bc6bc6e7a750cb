"""Gates: which pages are read at all, and what each gate says it saw."""

import pytest
from pydantic import ValidationError

from seimai.pipeline.gates import GATES, GatesConfig, language_gate, language_prefilter, opt_out_gate, response_gate

HTML = "text/html"


@pytest.mark.parametrize(
    ("status", "mime", "body", "gate"),
    [
        (200, HTML, b"<p>x</p>", None),
        (200, "", b"x", None),
        (200, "text/plain", b"x", None),
        (404, HTML, b"x", ("status", "404")),
        (301, "image/png", b"", ("status", "301")),
        (None, HTML, b"x", ("status", "none")),
        (200, "image/png", b"x", ("mime", "image/png")),
        (200, HTML, b"", ("payload", "empty")),
        (200, HTML, b" \r\n\t", ("payload", "empty")),
    ],
)
def test_responses(status: int | None, mime: str, body: bytes, gate: tuple[str, str] | None) -> None:
    assert response_gate(GatesConfig(), status, mime, body) == gate


@pytest.mark.parametrize(
    ("lang", "score", "gate"),
    [
        ("ja", 0.9, None),
        ("en", 0.3, None),
        ("en", 0.2999, ("lang_score", "0.300")),
        ("ja", None, ("lang_score", "0.000")),
        ("ko", 0.99, ("language", "ko")),
        (None, None, ("language", "none")),
    ],
)
def test_languages(lang: str | None, score: float | None, gate: tuple[str, str] | None) -> None:
    assert language_gate(GatesConfig(), lang, score) == gate


def test_gates_follow_the_config() -> None:
    config = GatesConfig(status=[404], mime=["image/png"], languages=["ko"], min_lang_score=0.0)
    assert response_gate(config, 404, "image/png", b"x") is None
    assert language_gate(config, "ko", 0.0) is None
    assert language_gate(config, "ja", 1.0) == ("language", "ja")


@pytest.mark.parametrize(
    ("opt_outs", "robots", "tdm", "no_reuse", "gate"),
    [
        (["noai", "tdm"], None, False, False, None),
        (["noai", "tdm"], "noai", False, False, "noai"),
        (["noai", "tdm"], "noimageai,noindex", False, True, None),
        (["noai"], "ccbot:noindex", False, False, "noai"),
        (["noai"], "googlebot:noindex", False, False, None),
        (["noindex"], "none", False, False, "noindex"),
        (["tdm", "noai"], "noai", True, False, "tdm"),
        (["no_reuse"], "noai", True, True, "no_reuse"),
        ([], "noai,noindex", True, True, None),
    ],
)
def test_opt_outs(opt_outs: list[str], robots: str | None, tdm: bool, no_reuse: bool, gate: str | None) -> None:
    config = GatesConfig.model_validate({"opt_outs": opt_outs})
    assert opt_out_gate(config, robots, tdm_reserved=tdm, no_reuse=no_reuse) == (("opt_out", gate) if gate else None)


@pytest.mark.parametrize(
    ("languages", "prefilter", "gate"),
    [(["ja"], True, ("prefilter", "not ja")), (["ja"], False, None), (["ja", "en"], True, None), (["en"], True, None)],
)
def test_the_prefilter_is_for_japanese_alone(languages: list[str], prefilter: bool, gate: object) -> None:
    assert language_prefilter(GatesConfig(languages=languages, prefilter=prefilter), b"<p>English", None) == gate


def test_every_gate_has_a_meaning() -> None:
    assert list(GATES) == [
        *("row", "status", "mime", "payload", "opt_out", "prefilter", "url", "extract", "quarantine", "empty"),
        *("language", "lang_score"),
    ]
    assert all(len(meaning) > 10 for meaning in GATES.values())


@pytest.mark.parametrize(
    "wrong", [{"languages": []}, {"min_lang_score": 1.1}, {"max_body_bytes": 1}, {"statuses": [1]}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GatesConfig.model_validate(wrong)
