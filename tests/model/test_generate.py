"""Generation: cached equals uncached, choices as stated, seeds repeat, streams never break a character."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, RunError
from seimai.model.checkpoint import save_model
from seimai.model.config import ModelConfig, Positions, resolve_body
from seimai.model.generate import Sampling, continue_batch, continue_tokens, generate, pick
from seimai.model.hf_config import family_of, hf_config
from seimai.model.hf_weights import to_hf
from seimai.model.reader import Reader
from seimai.model.text_stream import TextStream
from seimai.model.transformer import Transformer, build

SPECIAL: dict[str, Any] = {"fingerprint": "ab" * 32, "vocab_size": 264, "bos_id": 256, "eos_id": 257, "pad_id": 258}


BODIES: dict[str, dict[str, Any]] = {
    **{kind: {"positions": kind} for kind in get_args(Positions)},
    **{
        kind: {"rope_scaling": kind, "rope_factor": 2.0, "rope_original_tokens": 12}
        for kind in ("linear", "ntk", "dynamic", "yarn", "llama3")
    },
    "grouped": {"n_heads": 4, "n_kv_heads": 2, "qk_norm": True},
    "gpt2": {"preset": "gpt2", "positions": "learned"},
    "mpt": {"preset": "mpt", "positions": "alibi", "n_heads": 4},
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "drawn": {"temperature": 1.0, "top_k": 40, "top_p": 0.9, "min_p": 0.01},
    "penalty": {"temperature": 0, "repetition_penalty": 1.4},
    "beams": {"beams": 3, "length_penalty": 0.5, "repetition_penalty": 1.1},
}


def model_of(kind: str = "rope", **changes: Any) -> Transformer:
    config = {"depth": 2, "d_model": 32, "n_heads": 2, "row_tokens": 64, **(BODIES[kind] | changes)}
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


@pytest.mark.parametrize("kind", BODIES)
@torch.inference_mode()
def test_padded_rows_with_cache_have_the_logits_of_each_alone_without(kind: str) -> None:
    """Three prompts of unequal length, ten steps past the trained length of the scaled ones; 1e-4 in fp32."""
    model, sampling = model_of(kind), Sampling(max_new_tokens=10)
    prompts = [[256, 70], [256, 71, 72, 73, 74, 75, 76], [256, 70, 71, 72]]
    batch = Reader(model, prompts, sampling)
    forced = torch.randint(0, 256, (10, 3), generator=torch.Generator().manual_seed(1))
    for step in range(10):
        found = batch.logits()
        for row, prompt in enumerate(prompts):
            text = torch.tensor([[*prompt, *forced[:step, row].tolist()]])
            if kind == "dynamic":
                # With a cache its angles are those of the longest text there is room for.
                again = Reader(model, [prompt], Sampling(max_new_tokens=10, use_cache=False))
                again.tokens = text
                expected = again.logits()[0]
            else:
                expected = model.logits(model(text))[0, -1]
            torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=0)
        batch.add(forced[step])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", BODIES)
def test_every_strategy_says_the_same_without_a_cache(kind: str, strategy: str) -> None:
    model, options = model_of(kind), {"max_new_tokens": 12, **STRATEGIES[strategy]}
    prompt = [256, 70, 71, 72]
    found = continue_tokens(model, prompt, Sampling(**options), seed=3, eos_id=257)
    assert found == continue_tokens(model, prompt, Sampling(**options, use_cache=False), seed=3, eos_id=257)
    assert len(found) > 0


@pytest.mark.parametrize("strategy", ["greedy", "drawn", "penalty"])
@pytest.mark.parametrize("kind", BODIES)
def test_ragged_prompts_together_say_what_each_says_alone(kind: str, strategy: str) -> None:
    model, sampling = model_of(kind), Sampling(max_new_tokens=12, **STRATEGIES[strategy])
    prompts = [[256, 70], [256, 71, 72, 73, 74, 75, 76], [256, 70, 71, 72]]
    found = continue_batch(model, prompts, sampling, seeds=[1, 2, 3], eos_id=257)
    for prompt, seed, row in zip(prompts, (1, 2, 3), found, strict=True):
        assert row == continue_tokens(model, prompt, sampling, seed=seed, eos_id=257)


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
    # As shares of the best: 1, 0.368, 0.135, 0.050.
    assert chosen(temperature=1, top_p=1, min_p=0.1) == {1, 2, 3}
    assert chosen(temperature=1, top_p=1, min_p=0.2) == {1, 2}
    assert chosen(temperature=1, top_p=1, min_p=1) == {1}


def test_sampling_follows_the_distribution() -> None:
    logits, generator = torch.tensor([0.0, 1.0, 2.0]), torch.Generator().manual_seed(0)
    drawn = [pick(logits, Sampling(temperature=2.0, top_p=1), generator) for _ in range(4000)]
    shares = torch.bincount(torch.tensor(drawn), minlength=3) / 4000
    torch.testing.assert_close(shares, (logits / 2).softmax(0), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        *({"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"top_k": -1}, {"max_new_tokens": 0}),
        *({"min_p": -0.1}, {"min_p": 2}, {"repetition_penalty": 0}, {"beams": 0}, {"stop": ("a", "")}),
    ],
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
    stream = TextStream(tokenizer, pieces.append)
    for token in text.encode():
        stream.add(token)
    assert stream.finish() == text
    assert pieces == list(text)


def test_special_strings_in_a_prompt_stay_text(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    monkeypatch.setattr(
        "seimai.model.generate.continue_batch", lambda model, prompts, *rest, **options: seen.extend(prompts)
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


SEARCHES: tuple[dict[str, Any], ...] = (
    {},
    {"repetition_penalty": 1.5},
    {"num_beams": 2},
    {"num_beams": 4, "length_penalty": 0.0},
    {"num_beams": 3, "length_penalty": 2.0, "repetition_penalty": 1.3},
    {"num_beams": 3, "length_penalty": -1.0},
)


@pytest.mark.parametrize("kind", ["rope", "grouped", "gpt2", "mpt", "yarn"])
def test_as_transformers_generates(kind: str) -> None:
    """The same weights in the native class; EOS is a token that the model likes, so that beams end at all lengths."""
    model = model_of(kind, vocab_multiple=1)
    eos = continue_tokens(model, [256, 70, 71], Sampling(max_new_tokens=8, beams=3), seed=0, eos_id=300)[4]
    family, _ = family_of(model.body)
    assert family is not None
    config = AutoConfig.for_model(**hf_config(model.body, SPECIAL, "float32"))
    library: Any = AutoModelForCausalLM
    theirs = library.from_config(config).eval()
    _, unexpected = theirs.load_state_dict(to_hf(model.body, family, model.state_dict()), strict=False)
    assert unexpected == []
    theirs.generation_config.eos_token_id = eos
    ended = 0
    for options in SEARCHES:
        named = {"beams" if name == "num_beams" else name: value for name, value in options.items()}
        sampling = Sampling(max_new_tokens=14, temperature=0, **named)
        for prompt in ([256, 70, 71], [256, 200, 3, 9, 40], [256]):
            text = torch.tensor([prompt])
            mask = torch.ones_like(text)
            expected = theirs.generate(text, attention_mask=mask, do_sample=False, max_new_tokens=14, **options)
            tokens = expected[0, len(prompt) :].tolist()
            found = continue_tokens(model, prompt, sampling, seed=0, eos_id=eos)
            assert found == (tokens[: tokens.index(eos)] if eos in tokens else tokens), options
            ended += options.get("num_beams", 1) > 1 and eos in tokens and len(found) > 0
    assert ended > 0


@pytest.mark.parametrize("beams", [1, 2])
def test_stop_strings_end_a_text_and_are_not_part_of_it(model_dir: Path, beams: int) -> None:
    whole = generate(model_dir, ["Rice"], sampling=Sampling(max_new_tokens=60, temperature=0, beams=beams))[0]
    stop = whole[7:9]
    pieces: list[str] = []
    sampling = Sampling(max_new_tokens=60, temperature=0, beams=beams, stop=("never there", stop))
    found = generate(model_dir, ["Rice"], sampling=sampling, stream=lambda _, piece: pieces.append(piece))[0]
    assert stop not in found
    assert "".join(pieces) == found
    if beams == 1:
        assert found == whole[: whole.index(stop)]


@given(
    st.text(alphabet="ab精🍚", max_size=20), st.lists(st.text(alphabet="ab精🍚", min_size=1, max_size=4), max_size=3)
)
def test_stream_ends_before_the_first_stop_string(small_tokens: Path, text: str, stop: list[str]) -> None:
    tokenizer = Tokenizer.from_file(str(small_tokens / "tokenizer.json"))
    pieces: list[str] = []
    stream = TextStream(tokenizer, pieces.append, stop)
    for token in text.encode():
        if stream.add(token):
            break
    found = stream.finish()
    assert "".join(pieces) == found
    # The first to be complete ends the text; of several that are complete at once the one that begins first.
    complete = [(text.index(each) + len(each), text.index(each)) for each in stop if each in text]
    assert found == (text[: min(complete)[1]] if complete else text)


@given(st.binary(max_size=30))
def test_a_stream_of_any_bytes_is_the_decoded_whole(small_tokens: Path, data: bytes) -> None:
    tokenizer = Tokenizer.from_file(str(small_tokens / "tokenizer.json"))
    pieces: list[str] = []
    stream = TextStream(tokenizer, pieces.append)
    for token in data:
        stream.add(token)
    assert stream.finish() == "".join(pieces) == data.decode(errors="replace")


def test_command(model_dir: Path) -> None:
    words = ["generate", str(model_dir), "--tokens", "8", "--temperature", "0"]
    alone = [CliRunner().invoke(app, [*words, "--prompt", text]).stdout for text in ("精米", "Rice is")]
    both = CliRunner().invoke(app, [*words, "--prompt", "精米", "--prompt", "Rice is"])
    assert both.exit_code == 0
    assert both.stdout == "".join(alone)
    beams = CliRunner().invoke(
        app, [*words, "--prompt", "a", "--beams", "2", "--stop", "e", "--repetition-penalty", "1.2"]
    )
    assert beams.exit_code == 0
    assert beams.stdout.startswith("a")
    assert "min_p = 3" in str(CliRunner().invoke(app, [*words, "--min-p", "3"]).exception)
