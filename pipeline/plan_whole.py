"""What archives cost that have no columnar index, months of news and lists of paths: all of each, from their lists."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from seimai.errors import InputError

from .fetch_config import Access, FetchConfig
from .fetch_http import FetchError
from .fetch_list import chosen, is_list, listed_places, months
from .fetch_remote import look_at
from .inputs import source_key
from .plan import Plan, needs_plan
from .plan_costs import REQUESTS_PER_FILE, WARC_BYTES, WET_SHARE, Cost, figures

__all__ = ["goes_whole", "whole_plan"]


def goes_whole(config: FetchConfig, names: Sequence[str]) -> bool:
    """Whether names are lists of archives without a columnar index.

    Raises InputError where the config wants some records of them.
    """
    one_crawl = len(names) == 1 and names[0].startswith("CC-MAIN-")
    if not names or one_crawl or not all(is_list(each) for name in names for each in months(name)):
        return False
    return not needs_plan(config, names)


def whole_plan(config: FetchConfig, names: Sequence[str], access: Access, *, exact: bool = False) -> Plan:
    """The cost of whole archives, of those that `limit`, `sample` and `max_bytes` leave; `exact` asks for their sizes.

    Otherwise an archive counts as 1.1 GB, a WET file as a tenth of that. Raises InputError, one line.
    """
    places = {
        source_key(place): place
        for name in names
        for each in months(name)
        for place in listed_places(each, config, access)
    }
    keys = sorted(chosen(places, sample=config.sample, seed=config.seed, limit=config.limit))
    guess = round(WARC_BYTES * (sum(WET_SHARE) / 2 if config.kind == "wet" else 1))
    sizes = [_size(places[key], access) for key in keys] if exact else [guess] * len(keys)
    total = n_files = 0
    for size in sizes:
        if config.max_bytes and total + size > config.max_bytes:
            break
        total, n_files = total + size, n_files + 1
    cost = figures(config, (total, REQUESTS_PER_FILE * n_files), disk=total)
    found = Cost("whole", cost, cost, cost, exact)
    why = "without a columnar index there is no other way"
    return Plan(", ".join(names), 0, n_files, (found,), "whole", why, 1.0, pa.table({}), "", "")


def _size(place: str, access: Access) -> int:
    try:
        return look_at(place, access).size if "://" in place else Path(place).stat().st_size
    except FileNotFoundError:
        raise InputError(f"{place}: no such file; the list names what is not there") from None
    except FetchError as error:
        raise InputError(str(error)) from None
