"""Options that several commands have in common, written once."""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["with_options"]


def with_options(shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose first parameter is what `shared` makes of its own options, which become the command's.

    >>> def size(width: int = 1, height: int = 2) -> int:
    ...     return width * height
    >>> @with_options(size)
    ... def show(area: int, name: str = "it") -> None:
    ...     print(name, area)
    >>> show(name="box", width=3, height=4)
    box 12
    >>> [*inspect.signature(show).parameters]
    ['name', 'width', 'height']
    """
    common = inspect.signature(shared).parameters

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = [*inspect.signature(command).parameters.values()][1:]

        def run(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in common if name in values}
            command(shared(**chosen), **values)

        together = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *common.values())]
        run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in together}
        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        return run

    return wrap
