"""The section [fetch]: which archives of a crawl, by which way, how politely, and how much disk they may take."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from seimai.config import Section
from seimai.errors import ConfigError

from .credentials import refuse_credentials
from .rate import Pace

__all__ = ["Access", "FetchConfig", "SelectConfig", "access_of"]

Strategy = Literal["auto", "whole", "ranges", "wet"]


class SelectConfig(Section):
    """Section [fetch.select]: which records of the index are wanted; an empty list takes all."""

    languages: list[str] = []
    """ISO 639-3 codes as in the index; a page counts by its first language."""
    hosts: list[str] = []
    """Host names."""
    domains: list[str] = []
    """Registered domains, for example example.co.jp."""
    mime: list[str] = []
    """Detected MIME types."""
    status: list[int] = [200]
    """HTTP status codes."""
    since: str = ""
    """First day of fetching, as 2024-12-01."""
    until: str = ""
    """Last day of fetching."""


class FetchConfig(Section):
    """Section [fetch]: archives named by their crawl, how they come, and at which pace."""

    base: str = "https://data.commoncrawl.org/"
    """What paths of a crawl begin at: an address, s3://commoncrawl/ or a folder with a copy."""
    kind: Literal["warc", "wet"] = "warc"
    """Which archives a crawl's name stands for."""
    limit: int = Field(default=0, ge=0)
    """Files that are taken from the beginning of the lists; 0 for all."""
    sample: int = Field(default=0, ge=0)
    """Files that are drawn from the lists; 0 for all."""
    seed: int = 1
    """Seed of that draw."""
    max_bytes: int = Field(default=0, ge=0)
    """Bytes of archives after which no further one is begun; 0 for no end."""
    strategy: Strategy = "auto"
    """whole: all of each archive that holds selected records; ranges: only those records; wet: of those, the ones that
    the texts of the WET files do not rule out; auto: what the plan says."""
    select: SelectConfig = SelectConfig()
    """Which records are wanted."""
    index: str = ""
    """Parquet files of the columnar index: a folder, glob or address; empty: the crawl's own."""
    max_gap_bytes: int = Field(default=256 << 10, ge=0)
    """Records no further apart are fetched by one request, with what lies between them."""
    max_range_bytes: int = Field(default=8 << 20, ge=1)
    """Bytes of one such request, unless a single record is longer."""
    max_hours: float = Field(default=24.0, gt=0)
    """A plan that takes longer is refused without --yes."""
    requests_per_s: float = Field(default=2.0, gt=0)
    """Requests to a limited host, of all workers together (cdx_toolkit waits 0.55 s)."""
    burst: int = Field(default=1, ge=1)
    """Requests that may follow each other at once after a rest."""
    connections: int = Field(default=4, ge=1)
    """Whole files that are fetched at the same time."""
    bytes_per_s: float = Field(default=25e6, gt=0)
    """Speed of your line, from which a plan's hours follow."""
    limited_hosts: list[str] = ["commoncrawl.org", "commoncrawl"]
    """Hosts with those below them, and S3 buckets, that the rate holds for; the host of `base` is always one."""
    backoff_s: float = Field(default=1.0, gt=0)
    """First pause of all workers after a failure, with jitter; doubled each time up to `backoff_max_s`."""
    backoff_max_s: float = Field(default=60.0, gt=0)
    """Longest such pause, unless the server asks for a longer one."""
    attempts: int = Field(default=100, ge=1)
    """Failures in a row, without a byte gained, after which a file is given up."""
    timeout_s: float = Field(default=60.0, gt=0)
    """Silence after which a connection is given up."""
    min_bytes_per_s: int = Field(default=2000, ge=0)
    """A connection that is slower over `timeout_s` is given up, and goes on in a new one."""
    folder: str = ""
    """Where archives lie while they are read; those in a named folder stay there, else each goes when it is done."""
    disk_bytes: int = Field(default=20 << 30, ge=0)
    """What they may take there; 0 keeps nothing on disk and reads parts by ranges."""


@dataclass(frozen=True, slots=True)
class Access:
    """How remote bytes are asked for; part of every source, so that workers need nothing else."""

    contact: str = ""
    limited: tuple[str, ...] = ("commoncrawl.org", "commoncrawl")
    pace: Pace = field(default_factory=Pace)
    attempts: int = 100
    timeout_s: float = 60.0
    min_bytes_per_s: int = 2000

    def limits(self, host: str) -> bool:
        """Whether the rate holds for a host.

        >>> Access().limits("data.commoncrawl.org"), Access().limits("mycommoncrawl.org")
        (True, False)
        """
        return any(host == name or host.endswith("." + name) for name in self.limited)


def access_of(fetch: FetchConfig, contact: str) -> Access:
    """The part of the section that each request needs.  Raises ConfigError for an address with credentials in it."""
    for address in (fetch.base, fetch.index):
        refuse_credentials(address, ConfigError)
    place = fetch.base.split("/")[2] if "://" in fetch.base else ""
    host = place.rpartition("@")[2].split(":")[0]
    return Access(
        contact,
        tuple(sorted({*fetch.limited_hosts, host} - {""})),
        Pace(fetch.requests_per_s, fetch.burst, fetch.backoff_s, fetch.backoff_max_s),
        fetch.attempts,
        fetch.timeout_s,
        fetch.min_bytes_per_s,
    )
