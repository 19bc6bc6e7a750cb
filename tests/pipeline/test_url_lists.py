"""URL lists against a slow oracle, in UT1's layout, as a gate, and with three million domains in little memory."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError
from seimai.pipeline.gates import GatesConfig, loosened, url_gate
from seimai.pipeline.url_lists import (
    UrlListConfig,
    UrlListsConfig,
    open_url_lists,
    url_categories,
    url_list_digests,
)


def config(folder: Path, **lists: tuple[str, str]) -> UrlListsConfig:
    """A list of each category: its kind and its text."""
    entries = {}
    for category, (kind, text) in lists.items():
        path = folder / f"{category}.txt"
        path.write_text(text, encoding="utf-8")
        entries[category] = UrlListConfig.model_validate({"path": str(path), "kind": kind})
    return UrlListsConfig(lists=entries)


def ask(lists: UrlListsConfig, *urls: str | None) -> list[list[str] | None]:
    found: list[list[str] | None] = url_categories(urls, open_url_lists(lists)).to_pylist()
    return found


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://bad.com/", True),
        ("https://www.bad.com", True),
        ("https://a.b.bad.com/x?y#z", True),
        ("HTTPS://BAD.COM", True),
        ("http://user:word@bad.com:8080/", True),
        ("http://bad.com./", True),
        ("bad.com/x", True),
        ("http://notbad.com/", False),
        ("http://bad.com.example/", False),
        ("http://example/bad.com", False),
        ("http://example/?u=http://bad.com/", False),
        ("http://good.example@bad.com/", True),
        ("http://com/", False),
        ("http://93.184.216.34/", True),
        ("http://193.184.216.34/", False),
        ("", False),
        ("http://", False),
        ("http:///x", False),
        ("http://[2001:db8::1]:80/", False),
    ],
)
def test_hosts_match_with_all_below_them(tmp_path: Path, url: str, listed: bool) -> None:
    lists = config(
        tmp_path, adult=("domains", "# comment\n bad.com \r\n\n*.other.org\n93.184.216.34\nhttp://third.net/\n")
    )
    assert ask(lists, url) == [["adult"] if listed else []]


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://site.com/bad", True),
        ("http://www.site.com/bad/more.html", True),
        ("https://SITE.com:443/Bad?x", True),
        ("http://site.com/badly", False),
        ("http://site.com/", False),
        ("http://sub.site.com/bad", False),
        ("http://other.org/a/b", True),
        ("http://other.org/a", False),
    ],
)
def test_addresses_match_with_all_behind_them(tmp_path: Path, url: str, listed: bool) -> None:
    lists = config(tmp_path, warez=("urls", "site.com/bad/\nhttp://www.other.org/a/b\n"))
    assert ask(lists, url) == [["warez"] if listed else []]


def test_words_substrings_and_expressions(tmp_path: Path) -> None:
    lists = config(
        tmp_path,
        word=("words", "casino\n"),
        part=("substrings", "viag\n"),
        rule=("expressions", "# no\n(poker|slots)[0-9]+\\.\n"),
    )
    soft = tmp_path / "soft.txt"
    soft.write_text("hot\ngirl\n")
    lists = lists.model_copy(
        update={"lists": {**lists.lists, "soft": UrlListConfig(path=str(soft), kind="words", min_hits=2)}}
    )
    assert ask(
        lists,
        *("http://a/casino-x", "http://a/casinos", "http://VIAGRA.x/", "http://poker77.com/"),
        *("http://hot.com/", "http://hot.com/girl", None),
    ) == [["word"], [], ["part"], ["rule"], [], ["soft"], None]


def test_a_host_in_several_categories_has_them_all(tmp_path: Path) -> None:
    lists = config(tmp_path, b=("domains", "x.com\ny.com\n"), a=("domains", "x.com\n"), c=("urls", "x.com/p\n"))
    assert ask(lists, "http://x.com/p", "http://y.com", "http://z.x.com/") == [["a", "b", "c"], ["b"], ["a", "b"]]


LABEL = st.sampled_from(["a", "b", "bad", "com", "www", "x-y"])
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HOST, min_size=1, max_size=30), st.lists(HOST, min_size=1, max_size=80))
def test_against_a_set_of_suffixes(tmp_path: Path, listed: list[str], hosts: list[str]) -> None:
    lists = config(tmp_path, bad=("domains", "\n".join(listed)))
    open_url_lists.__globals__["_opened"].cache_clear()  # the file is written again within a tick of its clock
    known = set(listed)
    expected = [
        ["bad"] if any(".".join(host.split(".")[at:]) in known for at in range(host.count(".") + 1)) else []
        for host in hosts
    ]
    assert ask(lists, *(f"https://{host}/p" for host in hosts)) == expected


def test_layout_of_ut1(tmp_path: Path) -> None:
    (tmp_path / "adult").mkdir()
    (tmp_path / "adult" / "domains").write_text("bad.com\n")
    (tmp_path / "adult" / "usage").write_text("black\n")
    (tmp_path / "porn").symlink_to("adult")
    (tmp_path / "press").mkdir()
    (tmp_path / "press" / "urls.gz").write_bytes(gzip.compress(b"site.com/news\n"))
    (tmp_path / "dating.domains.gz").write_bytes(gzip.compress(b"meet.org\n"))
    lists = UrlListsConfig(ut1=[str(tmp_path)], drop=["adult"])

    assert open_url_lists(lists).categories == ("adult", "dating", "press")
    assert ask(lists, "http://bad.com", "http://site.com/news/1", "http://meet.org") == [
        ["adult"],
        ["press"],
        ["dating"],
    ]
    assert [entry[:2] for entry in url_list_digests(lists)] == [
        ["adult", "domains"],
        ["dating", "domains"],
        ["press", "urls"],
    ]


def test_mistakes_are_one_line_with_the_remedy(tmp_path: Path) -> None:
    def fails(lists: UrlListsConfig, words: str) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            open_url_lists(lists)
        assert "\n" not in str(caught.value)

    fails(UrlListsConfig(ut1=[str(tmp_path / "no")]), "no is no folder; give one with")
    fails(UrlListsConfig(ut1=[str(tmp_path)]), "has no <category>/domains")
    fails(UrlListsConfig(lists={"x": UrlListConfig(path="/no/such")}), r"lists\.x: /no/such is no file; give")
    fails(config(tmp_path, x=("domains", "# nothing\n")), "has no entry; give one a line")
    fails(config(tmp_path, x=("expressions", "ok\n(?<=a)b\n")), "line 2: not an expression of RE2 .* mend or drop it")
    fails(config(tmp_path, x=("domains", "a.com")).model_copy(update={"drop": ["y"]}), "no list of 'y'; known: x")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a.com\n" * 1000)[:-9])
    fails(UrlListsConfig(lists={"x": UrlListConfig(path=str(tmp_path / "cut.gz"))}), "cannot be read .* a whole .gz")


def test_the_gate_and_what_loosens_it() -> None:
    strict = GatesConfig(urls=UrlListsConfig(drop=["adult", "warez"]))
    assert url_gate(strict, ["press", "warez"]) == ("url", "warez")
    assert url_gate(strict, []) is url_gate(strict, None) is None
    assert loosened(strict, GatesConfig()) == ["gates.urls.drop"]
    assert loosened(GatesConfig(), strict) == []


def test_another_list_is_another_digest(tmp_path: Path) -> None:
    before = url_list_digests(config(tmp_path, x=("domains", "a.com\n")))
    after = url_list_digests(config(tmp_path, x=("domains", "a.com\nb.com\n")))
    assert before != after


MILLIONS = """
import resource, sys
from pathlib import Path
from seimai.pipeline.url_lists import UrlListConfig, UrlListsConfig, open_url_lists, url_categories

def opened(name):
    return open_url_lists(UrlListsConfig(lists={"x": UrlListConfig(path=name)}))

url_categories(["http://a.com/"], opened(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lists = opened(sys.argv[2])
urls = [f"https://www.site{n}.host{n % 977}.com/p" for n in range(0, 6_000_000, 600)]
assert url_categories(urls, lists).to_pylist() == [["x"]] * 5_000 + [[]] * 5_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, len(lists.hosts.hashes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_three_million_domains_fit_into_300_megabytes(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a.com\n")
    with (tmp_path / "many").open("w") as file:
        for first in range(0, 3_000_000, 100_000):
            file.writelines(f"site{n}.host{n % 977}.com\n" for n in range(first, first + 100_000))
    arguments = [sys.executable, "-c", MILLIONS, str(tmp_path / "one"), str(tmp_path / "many")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)

    grown_mib, entries = done.stdout.split()
    assert int(entries) == 3_000_000
    assert float(grown_mib) < 300
