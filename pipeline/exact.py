"""Texts and URLs to 128-bit hashes, equal where two documents are exact duplicates.

A text is folded as `shingles.py` says, white space is dropped, the rest is UTF-8: BLAKE2b with a digest of 16 bytes,
which anybody can repeat and nobody can aim at another page's. Punctuation counts here.

A URL is first brought into one form by these rules, in this order:

1. White space and control characters are removed, `\\` becomes `/`, the fragment goes.
2. The scheme is lower case; https becomes http.
3. User and password go. The host is lower case and IDNA (2003); a dot at its end, `www.` at its beginning and the
   scheme's own port go.
4. Percent signs: letters, digits and `-._~` are written plainly, other bytes as %XX in capitals, text beyond ASCII as
   its UTF-8. `.` and `..` are resolved, `;jsessionid=` and slashes at the end of the path go.
5. Query: session numbers and click tracking go (`TRACKING`), the rest is sorted; an empty query goes.

Case of path and query stays, and so does a host's `m.`: they often lead to something else. Where there is no host,
only the first rule applies.
"""

import hashlib
import itertools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .shingles import folded
from .unicode_table import class_table

__all__ = ["HASH_BYTES", "folded_hashes", "normalise_url", "text_hashes", "url_hashes"]

HASH_BYTES = 16

TRACKING = frozenset(
    "_ga _gl _hsenc _hsmi cfid cftoken dclid fbclid gbraid gclid gclsrc igshid jsessionid mc_cid mc_eid mkt_tok "
    "msclkid phpsessid srsltid ttclid twclid vero_id wbraid yclid".split()
)
"""Query parameters (lower case) that name a visit or a click; so do all that begin with utm_ or aspsessionid."""

_DROPPED = re.compile(r"[\x00-\x20\x7f\u00a0\u3000]")
# The parts of RFC 3986, appendix B: scheme, authority, path, query.
_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?]*))?([^?]*)(?:\?(.*))?", re.DOTALL)
_WWW = re.compile(r"^(?:www\.)+(?=[^.]+\.)")
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_SESSION = re.compile(r";jsessionid=[^/]*", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?|([^!-~]|[\"<>^`{|}])")
_PORTS = {"http:": ("80", "443"), "ftp:": ("21",)}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def text_hashes(texts: Sequence[str | None] | pa.Array) -> NDArray[np.uint8]:
    """The hash of every text, uint8 of shape (texts, 16); zeros where a text is null or only white space.

    >>> one, other, empty = text_hashes(["ＡＢＣ ガラス。", "abc\\nｶﾞﾗｽ。", " "])
    >>> bool((one == other).all()), int(empty.max())
    (True, 0)
    """
    from .text_kernels import as_strings

    array = as_strings(texts)
    result = np.zeros((len(array), HASH_BYTES), np.uint8)
    for part in folded(array):
        result[part.first : part.last] = folded_hashes(part.codes, part.offsets)
    return result


def folded_hashes(codes: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The same for folded texts, text i at codes[offsets[i]:offsets[i + 1]]."""
    from .fold_kernels import to_utf8

    data, ends = to_utf8(codes, offsets, *class_table())
    view, bounds = data.data, ends.tolist()
    digests = bytearray()
    # hashlib's compiled BLAKE2b; the step from row to row costs 1 µs, a thousandth of a page's signature.
    for begin, end in itertools.pairwise(bounds):
        digests += hashlib.blake2b(view[begin:end], digest_size=HASH_BYTES).digest()
    result = np.frombuffer(bytes(digests), np.uint8).reshape(-1, HASH_BYTES).copy()
    result[np.diff(ends) == 0] = 0
    return result


def url_hashes(urls: Sequence[str | None] | pa.Array) -> NDArray[np.uint8]:
    """BLAKE2b-128 of every normalised URL's UTF-8, uint8 of shape (urls, 16); zeros where a URL is null or empty.

    >>> one, other, absent = url_hashes(["https://www.example.org/", "http://EXAMPLE.org", None])
    >>> bool((one == other).all()), int(absent.max())
    (True, 0)
    """
    values = urls.to_pylist() if isinstance(urls, pa.Array | pa.ChunkedArray) else urls
    result = np.zeros((len(values), HASH_BYTES), np.uint8)
    for at, url in enumerate(values):
        if url and (form := normalise_url(url)):
            digest = hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
            result[at] = np.frombuffer(digest, np.uint8)
    return result


def normalise_url(url: str) -> str:
    """The one form of a URL by the rules of this module; a second time changes nothing more.

    >>> normalise_url("HTTPS://www.Example.org:443/a/./%7euser/?utm_source=x&b=2&a=%e7%b1%b3#top")
    'http://example.org/a/~user?a=%E7%B1%B3&b=2'
    """
    cleaned = _DROPPED.sub("", url).replace("\\", "/").partition("#")[0]
    match = _PARTS.fullmatch(cleaned)
    if match is None or not (host := _host(*match.group(1, 2))):
        return cleaned
    scheme, path, query = match.group(1, 3, 4)
    kept = sorted(pair for pair in _escape(query or "").split("&") if pair and not _tracks(pair))
    return f"{_scheme(scheme)}//{host}{_path(path)}{'?' if kept else ''}{'&'.join(kept)}"


def _scheme(scheme: str | None) -> str:
    return "" if scheme is None else "http:" if scheme.lower() == "https" else scheme.lower() + ":"


def _host(scheme: str | None, authority: str | None) -> str:
    """The host with its port; empty where there is none."""
    name = (authority or "").rpartition("@")[2]
    host, _, port = name.partition(":") if "[" not in name else (name, "", "")
    host = _escape(host if host.isascii() else _idna(host)).lower()
    host, port = _WWW.sub("", host.rstrip(".")), _escape(port)
    return f"{host}:{port}" if port and host and port not in _PORTS.get(_scheme(scheme), ()) else host


def _idna(host: str) -> str:
    """IDNA of 2003, which Python keeps at Unicode 3.2 for ever; the host itself where that makes no host of it."""
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        return host
    return name if _HOST.fullmatch(name) else host


def _path(path: str) -> str:
    kept: list[str] = []
    for segment in _SESSION.sub("", _escape(path)).split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept).rstrip("/")


def _tracks(pair: str) -> bool:
    name = pair.partition("=")[0].lower()
    return name in TRACKING or name.startswith(("utm_", "aspsessionid"))


def _escape(text: str) -> str:
    """Percent signs in one form; a percent sign that escapes nothing is escaped itself."""
    return _ESCAPE.sub(_one_escape, text)


def _one_escape(match: re.Match[str]) -> str:
    digits, other = match.groups()
    if other is not None:
        return "".join(f"%{byte:02X}" for byte in other.encode("utf-8", "surrogatepass"))
    if digits is None:
        return "%25"
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits.upper()}"
