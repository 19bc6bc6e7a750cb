"""Generation: cached equals uncached, choices as stated, seeds repeat, streams never break a character."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from seimai.errors import ConfigError, RunError
from seimai.model.checkpoint import save_model
from seimai.model.config import ModelConfig, Positions, resolve_body
from seimai.model.generate import Sampling, _Text, continue_tokens, generate, pick
from seimai.model.transformer import Transformer, build

SPECIAL = {"fingerprint": "ab" * 32, "vocab_size": 264, "bos_id": 256, "eos_id": 257, "pad_id": 258}


def model_of(kind: str = "rope") -> Transformer:
    config = {"positions": kind, "depth": 2, "d_model": 32, "n_heads": 2, "row_tokens": 64}
    model = build(resolve_body(ModelConfig.model_validate(config), 264), 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, small_tokens: Path) -> Path:
    directory = tmp_path_factory.mktemp("model")
    save_model(directory / "final", model_of(), {"tokenizer": SPECIAL}, small_tokens / "tokenizer.json")
    return directory


@pytest.mark.parametrize("kind", get_args(Positions))
@torch.no_grad()
def test_greedy_with_cache_equals_greedy_without(kind: str) -> None:
    model, prompt = model_of(kind), [256, 70, 71, 72]
    found = continue_tokens(model, prompt, Sampling(max_new_tokens=20, temperature=0), seed=0, eos_id=257)
    expected = list(prompt)
    for _ in range(20):
        token = int(model.logits(model(torch.tensor([expected])))[0, -1].argmax())
        if token == 257:
            break
        expected.append(token)
    assert prompt + found == expected


def test_choices() -> None:
    logits, generator = torch.tensor([0.0, 3.0, 2.0, 1.0]), torch.Generator().manual_seed(0)

    def chosen(**options: Any) -> set[int]:
        sampling = Sampling(**options)
        return {pick(logits, sampling, generator) for _ in range(300)}

    assert chosen(temperature=0) == {1}
    assert chosen(temperature=1, top_p=1) == {0, 1, 2, 3}
    assert chosen(temperature=1, top_p=1, top_k=2) == {1, 2}
    # The probabilities are 0.644, 0.237, 0.087, 0.032: three pass 0.9, one passes 0.6.
    assert chosen(temperature=1, top_p=0.9) == {1, 2, 3}
    assert chosen(temperature=1, top_p=0.6) == {1}
    assert chosen(temperature=1, top_p=1e-9) == {1}
    assert chosen(temperature=0.01, top_p=1) == {1}


def test_sampling_follows_the_distribution() -> None:
    logits, generator = torch.tensor([0.0, 1.0, 2.0]), torch.Generator().manual_seed(0)
    drawn = [pick(logits, Sampling(temperature=2.0, top_p=1), generator) for _ in range(4000)]
    shares = torch.bincount(torch.tensor(drawn), minlength=3) / 4000
    torch.testing.assert_close(shares, (logits / 2).softmax(0), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    "options", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"top_k": -1}, {"max_new_tokens": 0}]
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Sampling(**options)


def test_seeds_repeat_and_prompts_do_not_depend_on_each_other(model_dir: Path) -> None:
    sampling = Sampling(max_new_tokens=30, temperature=1.0, seed=5)
    both = generate(model_dir, ["精米", "Rice"], sampling=sampling)
    assert generate(model_dir / "final", ["精米", "other"], sampling=sampling)[0] == both[0]
    assert generate(model_dir, ["精米"], sampling=Sampling(max_new_tokens=30, temperature=1.0, seed=6))[0] != both[0]


def test_streamed_pieces_join_to_the_answer(model_dir: Path) -> None:
    pieces: dict[int, list[str]] = {0: [], 1: []}
    sampling = Sampling(max_new_tokens=40, temperature=1.5)
    answers = generate(model_dir, ["", "米"], sampling=sampling, stream=lambda i, piece: pieces[i].append(piece))
    assert ["".join(pieces[0]), "".join(pieces[1])] == answers


@given(st.text(alphabet="aé精米🍚\n", max_size=20))
def test_stream_never_breaks_a_character(small_tokens: Path, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(small_tokens / "tokenizer.json"))
    pieces: list[str] = []
    stream = _Text(tokenizer, pieces.append)
    for token in text.encode():
        stream.add(token)
    assert stream.finish() == text
    assert pieces == list(text)


def test_special_strings_in_a_prompt_stay_text(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    monkeypatch.setattr(
        "seimai.model.generate.continue_tokens", lambda model, tokens, *rest, **options: seen.append(list(tokens))
    )
    generate(model_dir, ["a<|eos|>"])
    assert seen == [[256, *b"a<|eos|>"]]


def test_bos_and_padding_are_never_chosen() -> None:
    model = model_of()
    with torch.no_grad():
        assert model.head is not None
        model.head.weight[256:259] *= 100
    found = continue_tokens(
        model, [256], Sampling(max_new_tokens=50, temperature=1), seed=0, eos_id=257, never=[256, 258]
    )
    assert not {256, 257, 258} & set(found)


def test_learned_table_is_a_limit() -> None:
    model, sampling = model_of("learned"), Sampling(max_new_tokens=62, temperature=0)
    assert len(continue_tokens(model, [256, 65, 66], sampling, seed=0, eos_id=300)) == 62
    with pytest.raises(ConfigError, match="pass the learned table of 64 positions"):
        continue_tokens(model, [256, 65, 66, 67], sampling, seed=0, eos_id=300)


def test_missing_tokenizer_is_one_line(tmp_path: Path) -> None:
    save_model(tmp_path / "final", model_of(), {"tokenizer": SPECIAL}, tmp_path / "none")
    with pytest.raises(RunError, match=r"tokenizer.json: missing"):
        generate(tmp_path, ["a"])
