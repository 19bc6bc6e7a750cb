"""Seven ways to tell a decoder the order of its tokens, behind one small interface.

Letters: B rows, T queries, S keys, D width, H heads, d width of a head; p positions (B, T), which restart in every
segment of a row; δ = i − j ≥ 0 the distance of a query and an earlier key, the same under packing because keys of
other segments are masked. Angles, biases and tables are fp32 whatever the model computes in: positions in bf16 are
wrong by 0.26 of a score's deviation at p = 1,000 (research/training.md, section 3).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seimai.errors import ConfigError

from .config import Body, Positions
from .kernels import ScoreMod, wide
from .rope_scaling import attention_factor, frequencies, segment_lengths

__all__ = [
    "T5",
    "Alibi",
    "Learned",
    "PositionKind",
    "Rope",
    "Shaw",
    "Sinusoidal",
    "alibi_slopes",
    "positions_for",
    "rope_angles",
    "rotate_half",
    "sinusoidal_table",
    "t5_bucket",
]

Angles = tuple[Tensor, Tensor]


class PositionKind(nn.Module):
    """The interface, and the kind `none`: nothing is added, order is known from the causal mask alone.

    (Haviv et al. 2022, arXiv:2203.16634; Kazemnejad et al. 2023, arXiv:2305.19466.) Needs BOS at every start.
    """

    kind: Positions = "none"

    def embed(self, position: Tensor) -> Tensor | None:
        """(B, T) positions -> (B, T, D) to add to the token embedding, or None."""
        return None

    def angles(self, position: Tensor, room: int | Tensor | None = None) -> Angles | None:
        """(B, T) positions -> fp32 cosines and sines (B, 1, T, d/2) for `rotate_half`, or None.

        `room`, one or (B), is the length that a text with a KV cache may reach; without it a segment's own counts.
        """
        return None

    def bias(self, distance: Tensor) -> Tensor | None:
        """(T, S) distances -> (H, T, S) fp32 to add to the scores of every layer, or None."""
        return None

    def content_bias(self, layer: int, query: Tensor, distance: Tensor) -> Tensor | None:
        """(B, H, T, d) queries and (T, S) distances -> (B, H, T, S) to add to one layer's scores, or None."""
        return None

    def score_mod(self, tokens: int, device: torch.device) -> ScoreMod | None:
        """`bias` as a function of one score for FlexAttention over `tokens` queries and keys, or None."""
        return None

    def content_score_mod(self, layer: int, query: Tensor) -> ScoreMod | None:
        """`content_bias` as a function of one score for FlexAttention, or None."""
        return None

    def channels(self, position: Tensor) -> tuple[Tensor, Tensor] | None:
        """(B, T) positions -> more channels of queries (H, 1, 8) and keys (B, 1, T, 8), or None.

        Their product over √d is `bias` up to a number for each query, to which a softmax is blind.
        """
        return None


class Learned(PositionKind):
    """x = E[token] + P[p] with a trained table P of row_tokens rows, N(0, 0.02) (GPT-2). Knows no length beyond it."""

    kind: Positions = "learned"

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(body.row_tokens, body.d_model).normal_(0, 0.02))

    def embed(self, position: Tensor) -> Tensor:
        """P[p]; ConfigError for p beyond the table, which is never clamped or wrapped."""
        # On a GPU or compiled, reading the maximum would stall every step; there the lookup itself fails.
        on_cpu = position.device.type == "cpu" and not torch.compiler.is_compiling()
        if on_cpu and position.numel() and int(position.max()) >= len(self.table):
            raise ConfigError(
                f"position {int(position.max())} is beyond the learned table of {len(self.table)} rows; "
                "shorten the text or train with positions = rope"
            )
        return F.embedding(position, self.table)


class Sinusoidal(PositionKind):
    """x = E[token] + α · PE[p], PE[p, 2i] = sin(p · 10000^(−2i/D)), PE[p, 2i+1] = cos of the same (arXiv:1706.03762).

    The paper scales the embedding by √D instead; with E ~ N(0, 0.02) the fixed α = 0.02 · √2 gives both parts the same
    size, and folds into an exported table of positions.
    """

    kind: Positions = "sinusoidal"
    alpha = 0.02 * math.sqrt(2)

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.d_model = body.d_model

    def embed(self, position: Tensor) -> Tensor:
        """α · PE[p], computed, so that any position is known."""
        return self.alpha * sinusoidal_table(position, self.d_model)


class Shaw(PositionKind):
    """S_ij = q_i · (k_j + r_c(δ)) / √d with c(δ) = min(δ, K): a vector per distance, for each layer, shared by heads.

    (Shaw et al. 2018, arXiv:1803.02155, keys only.) q · Rᵀ is (B, H, T, K+1) and then gathered by distance.
    """

    kind: Positions = "shaw"

    def __init__(self, body: Body) -> None:
        super().__init__()
        rows = body.shaw_max_distance + 1
        self.table = nn.Parameter(torch.empty(body.n_layers, rows, body.head_dim).normal_(0, 0.02))

    def content_bias(self, layer: int, query: Tensor, distance: Tensor) -> Tensor:
        """q_i · r_c(δ) / √d, fp32."""
        by_distance = self._by_distance(layer, query)
        clipped = distance.clamp(0, by_distance.shape[-1] - 1).expand(*query.shape[:2], *distance.shape)
        return by_distance.gather(-1, clipped)

    def content_score_mod(self, layer: int, query: Tensor) -> ScoreMod:
        """The same, read from (B, H, T, K+1) by distance."""
        by_distance = self._by_distance(layer, query)
        farthest = by_distance.shape[-1] - 1

        def add(score: Tensor, row: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + by_distance[row, head, i, (i - j).clamp(0, farthest)]

        return add

    def _by_distance(self, layer: int, query: Tensor) -> Tensor:
        return wide(query @ self.table[layer].to(query.dtype).T) / math.sqrt(query.shape[-1])


class T5(PositionKind):
    """S_ij += b[h, bucket(δ)]: a trained bias per head and bucket, shared by all layers (arXiv:1910.10683).

    T5 itself leaves out 1/√d; here it stays, and the bias is added after it.
    """

    kind: Positions = "t5"

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.max_distance = body.t5_max_distance
        self.table = nn.Parameter(torch.empty(body.t5_buckets, body.n_heads).normal_(0, 0.02))

    def bias(self, distance: Tensor) -> Tensor:
        """b[h, bucket(δ)] as (H, T, S), S − 1 being the largest distance."""
        # F.embedding and not an index: its gradient on the CPU is the same in every run.
        by_distance = self.by_distance(distance.shape[-1], distance.device)
        return F.embedding(distance.clamp(min=0), by_distance).permute(2, 0, 1)

    def score_mod(self, tokens: int, device: torch.device) -> ScoreMod:
        """The same, read from (T, H) by distance: far fewer queries share an entry than share one of 32 buckets."""
        by_distance = self.by_distance(tokens, device)

        def add(score: Tensor, row: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + by_distance[(i - j).clamp(min=0), head]

        return add

    def by_distance(self, tokens: int, device: torch.device) -> Tensor:
        """b[h, bucket(δ)] for δ below `tokens`, fp32 (tokens, H)."""
        bucket = t5_bucket(torch.arange(tokens, device=device), len(self.table), self.max_distance)
        return F.embedding(bucket, wide(self.table))


class Alibi(PositionKind):
    """S_ij −= m_h · δ with a fixed slope per head (Press et al. 2022, arXiv:2108.12409). No parameters."""

    kind: Positions = "alibi"
    slopes: Tensor

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.n_heads, self.head_dim = body.n_heads, body.head_dim
        self.register_buffer("slopes", torch.tensor(alibi_slopes(body.n_heads)), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Alibi":
        """What moves or casts the model moves the slopes only: rounded to bf16 those of 12 heads would be wrong."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.slopes = torch.tensor(alibi_slopes(self.n_heads), device=self.slopes.device)
        return self

    def bias(self, distance: Tensor) -> Tensor:
        """−m_h · δ as (H, T, S)."""
        return -self.slopes[:, None, None] * distance.float()

    def score_mod(self, tokens: int, device: torch.device) -> ScoreMod:
        """The same from the two places."""
        slopes = self.slopes

        def add(score: Tensor, row: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score - slopes[head] * (i - j)

        return add

    def channels(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Six channels and two zeros whose product is m_h · j · √d, exact factors in bf16 for positions below 65,536.

        −m · (i − j) and m · j differ by a number for each query, to which a softmax is blind. j = 256 · a + b with two
        digits that bf16 holds exactly; m · √d in three parts of 8 bits each, for one part alone is wrong by 0.2 to 3.9
        at distance 4,096. 256 times a part is exact too.
        """
        rest, parts = self.slopes * math.sqrt(self.head_dim), []
        for _ in range(3):
            parts.append(rest.to(torch.bfloat16).float())
            rest = rest - parts[-1]
        none = torch.zeros_like(rest)
        for_query = torch.stack([*(256 * part for part in parts), *parts, none, none], -1)
        high, low = (position // 256).float(), (position % 256).float()
        nothing = torch.zeros_like(high)
        for_key = torch.stack([high, high, high, low, low, low, nothing, nothing], -1)
        return for_query[:, None, :], for_key[:, None]


class Rope(PositionKind):
    """Queries and keys are turned by p · b^(−2i/d) in the planes (x_i, x_(i+d/2)) (Su et al. 2021, arXiv:2104.09864).

    The half layout of NeoX and Hugging Face, so that an export to Llama needs no permutation. Scalings replace the
    frequencies (rope_scaling.py). `dynamic` follows the length of each segment; behind a KV cache, whose keys were
    turned before the text grew, it is frozen at the length the cache has room for.
    """

    kind: Positions = "rope"

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def angles(self, position: Tensor, room: int | Tensor | None = None) -> Angles:
        """cos and sin of p · θ_i as (B, 1, T, d/2)."""
        length = None
        if self.body.rope_scaling == "dynamic":
            length = segment_lengths(position)
            if room is not None:
                length = torch.as_tensor(room, device=position.device).view(-1, 1).expand(position.shape)
        theta = frequencies(self.body, position.device, length)
        return rope_angles(position, theta, attention_factor(self.body))


def positions_for(body: Body) -> PositionKind:
    """The module of a body's kind of positions."""
    kinds: dict[str, type[PositionKind]] = {
        "learned": Learned,
        "sinusoidal": Sinusoidal,
        "shaw": Shaw,
        "t5": T5,
        "alibi": Alibi,
        "rope": Rope,
    }
    return PositionKind() if body.positions == "none" else kinds[body.positions](body)


def sinusoidal_table(position: Tensor, d_model: int) -> Tensor:
    """PE of (B, T) positions as (B, T, D) in fp32, sines at even and cosines at odd channels.

    >>> sinusoidal_table(torch.tensor([[0]]), 4).tolist()
    [[[0.0, 1.0, 0.0, 1.0]]]
    """
    exponent = torch.arange(0, d_model, 2, device=position.device, dtype=torch.float32) / d_model
    angle = position[..., None].float() * 10_000.0**-exponent
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)


def t5_bucket(distance: Tensor, buckets: int = 32, max_distance: int = 128) -> Tensor:
    """The causal bucket of each distance: half of the buckets for 0, 1, 2 …, the rest logarithmic up to max_distance.

    The one-sided formula; the two-sided one would leave half of the buckets of a decoder without use.

    >>> t5_bucket(torch.tensor([0, 15, 16, 18, 19, 112, 113, 9999])).tolist()
    [0, 15, 16, 16, 17, 30, 31, 31]
    """
    exact = buckets // 2
    distance = distance.clamp(min=0)
    ratio = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
    return torch.where(distance < exact, distance, far)


def alibi_slopes(n_heads: int) -> list[float]:
    """m_h = 2^(−8(h+1)/H) for H a power of two; else those of the power below, then every second of the one above.

    The order of the paper, Bloom and MPT.

    >>> alibi_slopes(6)
    [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    """
    below = 1 << (n_heads.bit_length() - 1)
    slopes = [2.0 ** (-8 * (head + 1) / below) for head in range(below)]
    between = [2.0 ** (-8 * (head + 1) / (2 * below)) for head in range(0, 2 * below, 2)]
    return slopes + between[: n_heads - below]


def rope_angles(position: Tensor, theta: Tensor, factor: float = 1.0) -> Angles:
    """Cosines and sines, fp32 (B, 1, T, d/2), of p · θ_i times `factor`; `theta` is (d/2) or (B, T, d/2)."""
    angle = (position[..., None].float() * theta)[:, None]
    return angle.cos() * factor, angle.sin() * factor


def rotate_half(x: Tensor, angles: Angles) -> Tensor:
    """Turn (B, H, T, d) in the planes (x_i, x_(i+d/2)), in fp32, back in x's type."""
    cos, sin = angles
    first, second = wide(x).chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)
