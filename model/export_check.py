"""An exported folder and the model it was made of in; whether the other library computes the same, or VerifyError."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from seimai.errors import ConfigError, VerifyError

from .config import Body
from .transformer import Transformer

__all__ = [
    "LARGEST_DIFFERENCE",
    "Checked",
    "check_export",
    "check_greedy_tokens",
    "checked_logits",
    "compare_models",
    "compared_rows",
    "greedy_prompt",
    "largest_difference",
    "quiet",
    "sample_tokens",
    "transformers_library",
]

LARGEST_DIFFERENCE = 1e-4
"""Of two logits in fp32."""
NEAR_TIE = 1e-3
"""Two tokens whose logits differ by less may change places between libraries."""
NEW_TOKENS, PROMPT_TOKENS = 64, 8
LONGEST = 512
"""Tokens of a compared row, at most."""
TEXTS = ("精米は玄米から糠を取り除く。", "Rice is polished before it is cooked.", "  a\n\tÅ 🍚 　全角 123,456\r\n")


class Checked(NamedTuple):
    """What was compared."""

    logit_difference: float
    """The largest of all logits compared, fp32."""
    rows: str
    """Sizes of the compared rows."""
    greedy_tokens: int
    """Greedy tokens of the other library that are ours too."""


def transformers_library() -> Any:
    """The module; ConfigError where it is not installed or older than 5."""
    try:
        import transformers
    except ImportError:
        raise ConfigError("transformers is not installed; pip install 'seimai[export]'") from None
    if int(transformers.__version__.partition(".")[0]) < 5:
        raise ConfigError(
            f"transformers {transformers.__version__}: 5 or newer is needed to check an export; upgrade it"
        )
    return transformers


@torch.no_grad()
def check_export(folder: Path, model: Transformer, *, limit: int | None) -> Checked:
    """Load the folder back and compare logits, greedy tokens and the tokenizer's ids.

    `model` holds the weights as they were written, in fp32. `limit` is the most positions the export knows, None for
    no limit. VerifyError names the first thing that differs.
    """
    with quiet():
        return _check(folder, model, limit)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice from Transformers."""
    logging = transformers_library().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _check(folder: Path, model: Transformer, limit: int | None) -> Checked:
    theirs = _load(folder)
    _check_tokenizer(folder)
    return compare_models(model, theirs, limit)


@torch.no_grad()
def compare_models(model: Transformer, theirs: Any, limit: int | None) -> Checked:
    """Logits and greedy tokens of our model and one of Transformers; VerifyError names the first thing that differs."""
    body, rows = model.body, compared_rows(model.body, limit)
    differences = [largest_difference(model, theirs, sample_tokens(body.vocab_size, *row)) for row in rows]
    return Checked(*checked_logits(differences, rows), _check_greedy(model, theirs, limit))


def checked_logits(
    differences: list[float], rows: list[tuple[int, int]], *, most: float = LARGEST_DIFFERENCE
) -> tuple[float, str]:
    """The largest difference and the sizes of the rows in words; VerifyError where it is above `most` or no number."""
    worst = max(differences)
    if not worst <= most:
        raise VerifyError(f"logits of the export differ by {worst:.2g} (at most {most:.2g}); nothing was written")
    return worst, " and ".join(f"{count} × {tokens}" for count, tokens in rows)


def compared_rows(body: Body, limit: int | None) -> list[tuple[int, int]]:
    """Numbers of rows and their tokens: within the trained length, and twice as long where that is known."""
    trained = min(body.row_tokens, LONGEST)
    return [(2, trained), (1, min(2 * trained, limit or 2 * trained))]


def sample_tokens(vocab_size: int, rows: int, tokens: int) -> Tensor:
    """Seeded tokens (rows, tokens) of the whole vocabulary."""
    return torch.randint(0, vocab_size, (rows, tokens), generator=torch.Generator().manual_seed(tokens))


@torch.no_grad()
def largest_difference(model: Transformer, theirs: Any, tokens: Tensor) -> float:
    """Of our logits and those of a model of Transformers for tokens (B, T); infinite where one is no number."""
    expected = theirs(tokens, use_cache=False).logits
    ours = model.logits(model(tokens))
    if expected.shape[-1] < ours.shape[-1]:
        raise VerifyError(f"{expected.shape[-1]} logits instead of {ours.shape[-1]}")
    difference = float((ours - expected[..., : ours.shape[-1]]).abs().max())
    return difference if difference == difference else float("inf")


def _load(folder: Path) -> Any:
    library = transformers_library()
    options: dict[str, Any] = {"dtype": torch.float32, "trust_remote_code": True}
    theirs, info = library.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **options)
    tied = {"lm_head.weight", "head.weight"} if theirs.config.tie_word_embeddings else set()
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if wrong := sorted(str(key) for key in info[what] if key not in tied):
            raise VerifyError(f"{what.replace('_', ' ')} in the export, first {wrong[0]}; nothing was written")
    return theirs.eval()


def _check_tokenizer(folder: Path) -> None:
    theirs = transformers_library().AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        expected = ours.encode(text).ids
        if theirs(text)["input_ids"] != expected:
            raise VerifyError(f"the exported tokenizer gives other ids for {text!r}; nothing was written")
        if theirs.decode(expected, skip_special_tokens=True) != ours.decode(expected):
            raise VerifyError(f"the exported tokenizer decodes {text!r} to another text; nothing was written")


def greedy_prompt(body: Body, limit: int | None) -> tuple[Tensor, int]:
    """The prompt (1, T) behind which greedy tokens are compared, and how many."""
    prompt_tokens = min(PROMPT_TOKENS, (limit or PROMPT_TOKENS + 1) - 1)
    new = NEW_TOKENS if limit is None else min(NEW_TOKENS, limit - prompt_tokens)
    return sample_tokens(body.vocab_size, 1, prompt_tokens), new


def _check_greedy(model: Transformer, theirs: Any, limit: int | None) -> int:
    """Greedy tokens of the other library with its cache."""
    prompt, new = greedy_prompt(model.body, limit)
    theirs.generation_config.eos_token_id = None
    # A cache cannot follow angles that change with the length.
    cached = model.body.rope_scaling != "dynamic"
    found = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new, do_sample=False, use_cache=cached
    )
    if found.shape[1] != prompt.shape[1] + new:
        raise VerifyError(f"{found.shape[1] - prompt.shape[1]} greedy tokens instead of {new}; nothing was written")
    return check_greedy_tokens(model, found, new, cached=cached)


@torch.no_grad()
def check_greedy_tokens(model: Transformer, found: Tensor, new: int, *, cached: bool = True) -> int:
    """The last `new` tokens of `found` (1, T) are each our best one too, or within a near tie of it; how many."""
    prompt_tokens = found.shape[1] - new
    if cached:
        logits = model.logits(model(found[:, :-1]))[0, prompt_tokens - 1 :]
    else:
        ends = range(prompt_tokens, prompt_tokens + new)
        logits = torch.stack([model.logits(model(found[:, :end]))[0, -1] for end in ends])
    chosen = logits.gather(1, found[0, prompt_tokens:, None])[:, 0]
    behind = logits.max(-1).values - chosen
    if bool((behind > NEAR_TIE).any()):
        place = int((behind > NEAR_TIE).nonzero()[0])
        raise VerifyError(f"greedy token {place} of the export is not ours; nothing was written")
    return new
