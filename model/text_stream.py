"""Tokens one by one in; text in whole characters out, up to the first stop string."""

from collections.abc import Callable, Sequence

from tokenizers import Tokenizer

__all__ = ["TextStream"]


class TextStream:
    """What ends inside a character waits for the tokens that complete it; what may begin a stop string waits too.

    A piece is decoded together with the piece before it, since some decoders drop the space at the very beginning.
    """

    def __init__(
        self, tokenizer: Tokenizer, emit: Callable[[str], None] | None = None, stop: Sequence[str] = ()
    ) -> None:
        self.stopped = False
        self._tokenizer, self._emit, self._stop = tokenizer, emit, tuple(stop)
        self._tokens: list[int] = []
        self._before, self._read = 0, 0
        self._held, self._text = "", ""

    def add(self, token: int) -> bool:
        """Take a token; whether a stop string now ends the text."""
        self._tokens.append(token)
        text = self._coming()
        if text and not text.endswith("\ufffd"):
            self._take(text)
        return self.stopped

    def finish(self) -> str:
        """The whole text; what still waited is emitted, an incomplete character as U+FFFD."""
        if not self.stopped:
            self._take(self._coming())
            if not self.stopped:
                self._out(self._held)
        return self._text

    def _coming(self) -> str:
        """Text of the tokens not read so far."""
        known = self._decode(self._tokens[self._before : self._read])
        return self._decode(self._tokens[self._before :])[len(known) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _take(self, text: str) -> None:
        self._before, self._read = self._read, len(self._tokens)
        held = self._held + text
        ends = [at for at in (held.find(each) for each in self._stop) if at >= 0]
        if ends:
            self.stopped = True
            self._out(held[: min(ends)])
            return
        waits = max((n for each in self._stop for n in range(1, len(each)) if held.endswith(each[:n])), default=0)
        self._out(held[: len(held) - waits])
        self._held = held[len(held) - waits :]

    def _out(self, text: str) -> None:
        self._text += text
        if text and self._emit is not None:
            self._emit(text)
