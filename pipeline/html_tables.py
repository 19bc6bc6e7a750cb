"""Tables for reading markup: elements and what they do to the text, words in class names and in short lines."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HINTS", "PHRASES", "TAG_NAMES", "Automaton", "Props", "TagTable", "hint_words", "phrase_words", "tag_table"]


class Props:
    """What an element does, as bits."""

    BLOCK = 1  # begins a line and closes an open p
    PARAGRAPH = 2  # stands between blank lines
    VOID = 4
    RAW = 8  # its content is no markup and no text
    SKIP = 16  # its content is markup, but no text of the page
    CELL = 32
    LINK = 64
    PRE = 128
    TABLE = 256  # a part of a table; ends only what is open inside the same table
    SCOPE = 512  # an end tag inside does not close what is open outside
    LIST = 1024
    MARK = 2048  # kept for those who read metadata
    HEAD = 4096  # may stand in the head


_B, _P = Props.BLOCK, Props.BLOCK | Props.PARAGRAPH
_ELEMENTS: Final = {
    _B: "div dt dd li address fieldset legend details summary center figcaption dialog",
    _B | Props.TABLE: "tr thead tbody tfoot caption",
    _B | Props.TABLE | Props.CELL | Props.SCOPE: "td th",
    _P | Props.TABLE | Props.SCOPE: "table",
    _P: "p section article main aside nav header footer form figure blockquote body html hgroup search "
    "h1 h2 h3 h4 h5 h6",
    _P | Props.LIST: "dl ul ol menu",
    _P | Props.PRE: "pre listing",
    _P | Props.VOID: "hr",
    Props.VOID: "br img wbr input source track area col embed param",
    Props.VOID | Props.MARK | Props.HEAD: "meta link base",
    Props.RAW | Props.HEAD: "script style noscript",
    Props.RAW: "textarea iframe noembed noframes xmp",
    Props.RAW | Props.MARK | Props.HEAD: "title",
    Props.SKIP | Props.HEAD: "template",
    Props.SKIP: "svg select object canvas audio video map datalist button annotation rt rp rtc",
    Props.SKIP | Props.BLOCK | Props.HEAD: "head",
    Props.LINK: "a",
    0: "span code label small time cite ruby rb kbd samp",
}
_PROPS: Final = {name: props for props, names in _ELEMENTS.items() for name in names.split()}
TAG_NAMES: Final = tuple(sorted(_PROPS, key=lambda name: int.from_bytes(name[:8].encode(), "big")))
"""Elements that are known; the number of one is its place here, and -1 stands for all others, which do nothing."""

HINTS: Final[dict[str, str]] = {
    "body": "articlebody |article| |entry| entrycontent postcontent postbody articlecontent articletext storybody "
    "|story| |post| hentry maincontent |prose| |honbun| |kiji| markdown |entry|content |post|content |post|body "
    "|article|body |story|body |body|text |text|body |article|text |main|text",
    "content": "content |main| |text| |body| |doc| |wrapper| |page| |contents| |container| |inner| |section| "
    "|paragraph",
    "nav": "|nav |menu breadcrumb |crumb |pager |pagination |pankuzu |topicpath |toc| |tabs| |tab| |prev |next| |gnav "
    "navigation |navi| sitemap |index| |skip| |jump| |links|",
    "footer": "foot copyright contentinfo |colophon |bottom|",
    "header": "|header masthead |banner| |logo| |brand |topbar |hd| |head| |top|",
    "side": "|side |aside |rail| |widget sidebar complementary |column|right |right| |left| |secondary| |sub|",
    "ad": "|ad| |ads| |adv| advert sponsor |promo |pr| outbrain taboola |dfp| adsense |adslot |affiliate |banner ",
    "share": "|share |social |sns| tweet facebook twitter hatena |follow |sharing |like| |line| addthis |snap",
    "comment": "comment disqus |reply |respond |discuss |feedback |review |trackback",
    "related": "related recommend popular ranking trending |more| |latest| |recent |kanren |osusume |also| |teaser "
    "|card| |promo |read|more |readmore |feed| |archive |headlines |list| |similar |carousel |slider |grid",
    "meta": "byline |author |date| |time| |meta| |tag| |tags| |categor |posted |published |info| |credit |source| "
    "|timestamp |dateline |bio| |profile |label| |kicker |eyebrow |counter |views",
    "consent": "cookie consent gdpr |modal |popup |overlay |newsletter |subscri |signup |login |paywall |signin "
    "|register |notice| |alert |dialog |lightbox |onetrust |privacy |optin |donate |cta| |toast |notification",
    "hidden": "hidden |sr|only |visually |screen|reader |offscreen |d|none |noprint |no|print |invisible |print|only "
    "display|none visibility|hidden |lineno |linenos |gutter |hide|",
    "figure": "caption |photo |gallery |figure |media| |image |img |thumb |video |player |slideshow |embed |infobox",
    "tool": "toolbar |tool| |edit| |search |form| |btn |button |print| |editsection |action |control |input |select "
    "|dropdown |icon |language |lang| |badge |permalink |headerlink |anchor |version |history |download",
    "code": "|code |highlight |syntax |pre| |source|code |codehilite |example |snippet |prettyprint |programlisting",
    "intro": "|title |headline |subtitle |lead| |intro |summary |abstract |excerpt |standfirst |dek| |description "
    "|deck| |catch |midashi",
    "note": "|note |warning |tip| |important |footnote |references |reference |related|links |reflist |see|also",
}
"""Groups of words in class, id, role, itemprop and style; a bar is the edge of a word."""

PHRASES: Final[dict[str, str]] = {
    "rights": ("©/copyright/all rights reserved/(c) /無断転載/禁じます/著作権/転載を禁/reserved./&copy;"),
    "consent": (
        "cookie/クッキー/privacy/プライバシー/terms of/利用規約/同意/consent/gdpr/javascript/個人情報/"
        "adblock/ad blocker"
    ),
    "share": (
        "share/tweet/facebook/twitter/シェア/ツイート/はてなブックマーク/instagram/pinterest/linkedin/"
        "whatsapp/follow us/フォロー/いいね"
    ),
    "related": (
        "related/関連/おすすめ/人気/ランキング/最新/新着/recommended/popular/trending/you may also/read more/"
        "続きを読む/もっと見る/more from/read next/most read/一覧/バックナンバー/see also/more:/also read/"
        "read:/watch:/特集/ピックアップ/recent "
    ),
    "comment": ("comment/コメント/reply/返信/口コミ/レビュー/leave a/投稿する/トラックバック/disqus/respond"),
    "sign": (
        "sign up/sign in/log in/login/ログイン/会員/登録/subscribe/newsletter/メルマガ/購読/email/e-mail/"
        "メール/register/password/download the app/free trial/donate/support us/join "
    ),
    "move": (
        "トップ/ホーム/home/back to/戻る/次へ/前へ/次の/前の/next/previous/prev/ページ/skip to/目次/top of/"
        "menu/メニュー/サイトマップ/site map/検索/search/contact/お問い合わせ/問合せ/about us/会社概要/help/"
        "ヘルプ/up one/modified/languages"
    ),
    "by": (
        "by /posted/published/updated/last modified/author/最終更新/更新日/投稿日/公開日/作成日/掲載/執筆/"
        "著者/文責/写真/photo/image/credit/getty/staff/editor/min read/ago/reuters/カテゴリ/category/tags/"
        "タグ/filed under/source:/出典/view/advertis/広告/sponsored/edit/編集"
    ),
}
"""Groups of phrases in the beginning of a block of text, in lower case."""


class TagTable(NamedTuple):
    """Elements by number: the first eight bytes of their names, sorted; and properties, what each closes, and where
    that stops: the numbers of two elements, and properties (-1: the table)."""

    keys: NDArray[np.uint64]
    rules: NDArray[np.int64]


class Automaton(NamedTuple):
    """Aho and Corasick (1975): next state by state and class of a byte, class of each byte, groups found by state."""

    step: NDArray[np.int32]
    classes: NDArray[np.uint8]
    found: NDArray[np.int64]


_CLOSES: Final = {
    "li li": Props.LIST | Props.TABLE,
    "dt dd": Props.LIST | Props.TABLE,
    "td th": -1,
    "tr tr": -1,
    "tbody thead": -1,
    "rt rp": Props.BLOCK,
    "a a": Props.BLOCK,
}


@cache
def tag_table() -> TagTable:
    """The table of the elements above."""
    keys = np.array([int.from_bytes(name[:8].encode(), "big") for name in TAG_NAMES], np.uint64)
    rules = np.full((len(TAG_NAMES), 4), -1, np.int64)
    rules[:, 0] = [_PROPS[name] for name in TAG_NAMES]
    for names, stops in _CLOSES.items():
        one, other = (TAG_NAMES.index(name) for name in names.split())
        rules[[one, other], 1:] = one, other, stops
    return TagTable(keys, rules)


@cache
def hint_words() -> Automaton:
    """Finds the words of HINTS in attributes: letters without case, digits as one class, edges of words as one."""
    classes = np.full(256, 1, np.uint8)
    classes[[*range(ord("0"), ord("9") + 1)]] = 2
    for letter in range(26):
        classes[[ord("a") + letter, ord("A") + letter]] = 3 + letter
    words = [(word, group) for group, row in enumerate(HINTS.values()) for word in row.split()]
    return _automaton([(bytes(classes[list(word.encode())]), group) for word, group in words], classes)


@cache
def phrase_words() -> Automaton:
    """Finds the phrases of PHRASES in UTF-8 text, ASCII letters without case."""
    phrases = [(text.encode(), group) for group, row in enumerate(PHRASES.values()) for text in row.split("/")]
    classes = np.zeros(256, np.uint8)
    used = sorted({byte for text, _ in phrases for byte in text})
    classes[used] = np.arange(1, len(used) + 1)
    classes[65:91] = classes[97:123]
    return _automaton([(bytes(classes[list(text)]), group) for text, group in phrases], classes)


def _automaton(words: list[tuple[bytes, int]], classes: NDArray[np.uint8]) -> Automaton:
    children: list[dict[int, int]] = [{}]
    found = [0]
    for word, group in words:
        state = 0
        for symbol in word:
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                found.append(0)
            state = children[state][symbol]
        found[state] |= 1 << group
    step = np.zeros((len(children), int(classes.max()) + 1), np.int32)
    fail = [0] * len(children)
    queue = [0]
    for state in queue:
        if state:
            step[state] = step[fail[state]]
            found[state] |= found[fail[state]]
        for symbol, child in children[state].items():
            fail[child] = int(step[fail[state], symbol]) if state else 0
            step[state, symbol] = child
            queue.append(child)
    return Automaton(step, classes, np.array(found, np.int64))
