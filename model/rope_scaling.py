"""Six ways to stretch rotary angles beyond the trained length, as frequencies θ_i of the planes of a head.

Letters: d width of a head, i < d/2 its planes, b the base, L the trained length, s the factor, T the length of a text;
without scaling θ_i = b^(−2i/d). All in fp32 and in the order of operations of Transformers' `modeling_rope_utils`, so
that an export computes the very same angles.
"""

import math

import torch
from torch import Tensor

from .config import Body

__all__ = ["attention_factor", "dynamic_base", "frequencies", "ntk_base", "segment_lengths"]


def frequencies(body: Body, device: torch.device, length: Tensor | None = None) -> Tensor:
    """θ_i of a body as fp32 (d/2); with `dynamic` and the tokens of each text, `length` (…), as (…, d/2).

    linear: θ_i / s (position interpolation, arXiv:2306.15595). ntk: `ntk_base`. dynamic: `dynamic_base`.
    yarn and llama3: `_yarn`, `_llama3`.
    """
    d, b, s = body.head_dim, body.rope_base, body.rope_factor
    kind, trained = body.rope_scaling, body.rope_original_tokens or body.row_tokens
    exponent = torch.arange(0, d, 2, device=device, dtype=torch.float32) / d
    if kind == "ntk":
        b = ntk_base(b, s, d)
    if kind == "dynamic" and length is not None:
        base = dynamic_base(b, s, d, length.float().clamp(min=trained) / trained)
        return 1.0 / base[..., None] ** exponent
    plain = 1.0 / b**exponent
    if kind == "linear":
        return plain / s
    if kind == "yarn":
        return _yarn(plain, body, trained)
    if kind == "llama3":
        return _llama3(plain, body, trained)
    return plain


def attention_factor(body: Body) -> float:
    """What cosines and sines are multiplied by: 0.1 · ln s + 1 with YaRN, else 1; scores get its square.

    (arXiv:2309.00071, equation 22: longer texts spread attention, and a higher temperature gathers it again.)
    """
    return 0.1 * math.log(body.rope_factor) + 1.0 if body.rope_scaling == "yarn" else 1.0


def ntk_base(base: float, factor: float, head_dim: int) -> float:
    """b · s^(d/(d−2)): the slowest plane is slowed s times, the fastest not at all ("NTK-aware", bloc97 2023).

    >>> round(ntk_base(10_000.0, 4.0, 64))
    41829
    """
    return float(base * factor ** (head_dim / (head_dim - 2)))


def dynamic_base(base: float, factor: float, head_dim: int, ratio: Tensor) -> Tensor:
    """b · (s · T/L − (s − 1))^(d/(d−2)) for `ratio` = T/L ≥ 1: NTK that stretches only as far as a text needs.

    (emozilla 2023.) The base is b up to the trained length and grows with the text beyond it.
    """
    return base * (factor * ratio - (factor - 1)) ** (head_dim / (head_dim - 2))


def segment_lengths(position: Tensor) -> Tensor:
    """Tokens of the segment of every token, from positions (B, T) that count up and restart in every segment.

    >>> segment_lengths(torch.tensor([[0, 1, 2, 0, 1, 0]])).tolist()
    [[3, 3, 3, 2, 2, 1]]
    """
    last = torch.ones_like(position, dtype=torch.bool)
    last[:, :-1] = position[:, 1:] != position[:, :-1] + 1
    place = torch.arange(position.shape[1], device=position.device).expand(position.shape)
    ends = torch.where(last, place, position.shape[1]).flip(1).cummin(1).values.flip(1)
    return position.gather(1, ends) + 1


def _yarn(plain: Tensor, body: Body, trained: int) -> Tensor:
    """YaRN (arXiv:2309.00071, "NTK-by-parts"): fast planes stay, slow ones are interpolated, a ramp between.

    The plane that turns r times within L is f(r) = d · ln(L / (2πr)) / (2 ln b); the ramp runs from ⌊f(beta_fast)⌋ to
    ⌈f(beta_slow)⌉.
    """
    d = body.head_dim

    def plane(turns: float) -> float:
        return d * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(body.rope_base))

    low = max(math.floor(plane(body.yarn_beta_fast)), 0)
    high = min(math.ceil(plane(body.yarn_beta_slow)), d - 1)
    width = high - low if high != low else 0.001
    ramp = ((torch.arange(d // 2, device=plain.device, dtype=torch.float32) - low) / width).clamp(0, 1)
    return plain / body.rope_factor * ramp + plain * (1 - ramp)


def _llama3(plain: Tensor, body: Body, trained: int) -> Tensor:
    """Llama 3.1 (arXiv:2407.21783, code of its release): by wavelength λ = 2π/θ, three parts.

    λ > L / low: θ/s. λ < L / high: θ. Between: m · θ + (1 − m) · θ/s with m = (L/λ − low) / (high − low).
    """
    low, high = body.llama3_low_freq_factor, body.llama3_high_freq_factor
    wavelength = 2 * math.pi / plain
    mixed = (trained / wavelength - low) / (high - low)
    between = (1 - mixed) * plain / body.rope_factor + mixed * plain
    slow = torch.where(wavelength > trained / low, plain / body.rope_factor, between)
    return torch.where(wavelength < trained / high, plain, slow)
