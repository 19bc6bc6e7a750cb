"""The hosts of the sample web: each has a name, one page template and one habit of encoding and declaring its text."""

from dataclasses import dataclass

__all__ = ["COPY_SITES", "FOREIGN_SITES", "SITES", "Site", "site"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A host below .example (RFC 2606), so that no real site is named."""

    host: str
    name: str
    lang: str
    """ISO 639-1 code of its menus."""
    template: str
    """Key of `seimai.sample.templates.TEMPLATES`."""
    encoding: str
    """Key of `seimai.sample.encodings.ENCODERS`: what the bytes are, whatever is declared."""
    header: str = ""
    """Charset label in the Content-Type header; empty for none."""
    meta: str = ""
    """Charset label in the markup; empty for none."""
    transfer: str = "identity"
    """identity, gzip (Content-Encoding) or chunked (Transfer-Encoding)."""


def _row(host: str, name: str, lang: str, template: str, encoding: str, declared: str = "", transfer: str = "") -> Site:
    """A site from one line of the tables below; `declared` is "HTTP label/markup label", either side may be empty."""
    header, _, meta = declared.partition("/")
    return Site(
        host=f"{host}.example",
        name=name,
        lang=lang,
        template=template,
        encoding=encoding,
        header=header,
        meta=meta,
        transfer=transfer or "identity",
    )


_JA = (
    _row("kurashi-techo", "くらし手帖", "ja", "blog", "utf-8", "UTF-8/UTF-8"),
    _row("asagiri-shimbun", "朝霧新聞", "ja", "news", "utf-8", "utf-8/utf-8"),
    _row("kawabe-note", "川辺ノート", "ja", "blog", "shift_jis", "/Shift_JIS"),
    _row("tetsudo-biyori", "鉄道日和", "ja", "table", "shift_jis", "/x-sjis"),
    _row("www.hoshimi-club", "星見倶楽部", "ja", "table", "euc-jp", "/EUC-JP"),
    _row("manabi-wiki", "まなび百科", "ja", "wiki", "utf-8", "UTF-8/UTF-8"),
    _row("mameda-shoten", "豆田商店", "ja", "corporate", "utf-8", "/utf-8"),
    _row("hiroba-ban", "ひろば掲示板", "ja", "forum", "utf-8", "utf-8/utf-8"),
    _row("oldkiroku", "古い記録の部屋", "ja", "homepage", "iso-2022-jp", "/ISO-2022-JP"),
    # Undeclared: the detector alone decides.
    _row("yama-aruki", "山あるき日誌", "ja", "homepage", "shift_jis"),
    _row("ongaku-zakki", "音楽雑記", "ja", "blog", "euc-jp"),
    _row("ie-to-niwa", "家と庭", "ja", "magazine", "utf-8"),
    _row("mailkura", "手紙の蔵 ﾃｶﾞﾐﾉｸﾗ", "ja", "table", "iso-2022-jp"),
    # Declared in the header only.
    _row("nagisa-insatsu", "なぎさ印刷", "ja", "corporate", "shift_jis", "windows-31j/"),
    _row("dougu-jiten", "道具事典", "ja", "wiki", "euc-jp", "euc-jp/"),
    _row("kougei-no-wa", "工芸の輪", "ja", "magazine", "utf-8", "UTF-8/"),
    # Declared wrongly, by server defaults and by pages moved without their tags.
    _row("soudan-shitsu", "なんでも相談室", "ja", "forum", "shift_jis", "ISO-8859-1/shift_jis"),
    _row("machi-kawaraban", "まちのかわら版", "ja", "news", "utf-8", "UTF-8/Shift_JIS"),
    _row("rekishi-sampo", "歴史散歩", "ja", "magazine", "shift_jis", "/utf-8"),
    _row("hatake-dayori", "畑だより", "ja", "table", "euc-jp", "/Shift_JIS"),
    # Transfer.
    _row("denshi-memo", "電子メモ", "ja", "blog", "utf-8", "utf-8/utf-8", "gzip"),
    _row("kagaku-no-mado", "科学の窓", "ja", "news", "utf-8-sig", "/utf-8", "chunked"),
    _row("hon-no-mori", "本の森通信", "ja", "corporate", "shift_jis", "Shift_JIS/Shift_JIS", "gzip"),
)

_EN = (
    _row("thistle-notes", "Thistle Notes", "en", "blog", "utf-8", "UTF-8/UTF-8"),
    _row("harbourline", "Harbour Line", "en", "news", "utf-8", "utf-8/utf-8"),
    _row("copperkettle", "The Copper Kettle", "en", "blog", "windows-1252", "/windows-1252"),
    _row("fieldbook", "Fieldbook", "en", "wiki", "utf-8", "UTF-8/UTF-8"),
    _row("www.oakbench", "Oak Bench", "en", "table", "windows-1252", "/iso-8859-1"),
    _row("ridgeway-gazette", "Ridgeway Gazette", "en", "news", "utf-8", "/utf-8"),
    _row("workshop-forum", "Workshop Forum", "en", "forum", "utf-8", "utf-8/utf-8"),
    _row("lantern-quarterly", "Lantern Quarterly", "en", "magazine", "utf-8", "UTF-8/"),
    _row("tidewater-press", "Tidewater Press", "en", "corporate", "utf-8", "utf-8/utf-8"),
    _row("plainhome", "A Plain Home Page", "en", "homepage", "windows-1252"),
    _row("smalltown-post", "Small Town Post", "en", "news", "utf-8", "utf-8/", "chunked"),
    _row("gardenrow", "Garden Row", "en", "blog", "utf-8", "/utf-8"),
    _row("numberdesk", "Number Desk", "en", "wiki", "utf-8", "UTF-8/UTF-8"),
    _row("strideclub", "Stride Club", "en", "forum", "windows-1252", "ISO-8859-1/"),
    _row("greenlamp", "Green Lamp", "en", "magazine", "utf-8", "utf-8/utf-8", "gzip"),
    _row("millpond", "Mill Pond Pages", "en", "table", "utf-8", "ISO-8859-1/utf-8"),
    _row("brass-and-wood", "Brass and Wood", "en", "homepage", "utf-8-sig"),
    _row("kiln-and-quill", "Kiln and Quill", "en", "corporate", "utf-8"),
)

SITES: tuple[Site, ...] = _JA + _EN
"""The hosts with the articles as their authors published them."""

COPY_SITES: tuple[Site, ...] = (
    _row("yomimono-souko", "読み物倉庫", "ja", "news", "utf-8", "utf-8/utf-8"),
    _row("tensai-matome", "転載まとめ", "ja", "blog", "euc-jp", "/euc-jp"),
    _row("utsushi", "うつし帳", "ja", "corporate", "shift_jis", "Shift_JIS/"),
    _row("reprint-depot", "Reprint Depot", "en", "blog", "utf-8", "utf-8/utf-8"),
    _row("textmirror", "Text Mirror", "en", "news", "windows-1252", "/windows-1252"),
    _row("second-shelf", "Second Shelf", "en", "corporate", "utf-8", "UTF-8/"),
)
"""Hosts that carry what others wrote: mirrors and near-duplicates."""

FOREIGN_SITES: tuple[Site, ...] = (
    _row("xiaoxiang-biji", "小巷笔记", "zh", "blog", "utf-8", "utf-8/utf-8"),
    _row("shanlu", "山路", "zh", "table", "gbk", "/gb2312"),
    _row("bomnal", "봄날", "ko", "news", "utf-8", "utf-8/utf-8"),
    _row("jangdok", "장독대", "ko", "corporate", "euc-kr", "/euc-kr"),
    _row("lavoir", "Le Lavoir", "fr", "magazine", "utf-8", "utf-8/utf-8"),
    _row("petit-quai", "Le Petit Quai", "fr", "table", "windows-1252", "/iso-8859-1"),
    _row("werkbank", "Die Werkbank", "de", "wiki", "utf-8", "utf-8/utf-8"),
)
"""Hosts in the languages that the shipped configuration does not keep."""


def site(host: str) -> Site:
    """The site of a host name; KeyError for a host without a template.

    >>> site("yama-aruki.example").encoding
    'shift_jis'
    """
    return {one.host: one for one in SITES + COPY_SITES + FOREIGN_SITES}[host]
