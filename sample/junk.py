"""The pages that no corpus wants: boilerplate, spam, link farms, shop lists, stubs, repetition, errors, other types."""

from .bodies import PDF, PNG
from .encodings import encode
from .labels import LABELS
from .page import Page, Truth, html_page, plain_page
from .view import escape

__all__ = ["junk_pages"]

_TEXT_REASONS = "quality|language|empty"
"""Pages of few words: whether a reader finds no text, no language or too little of it is a matter of its extractor."""

_JA_WORDS = ("温泉", "時計", "かばん", "椅子", "自転車", "写真", "旅行", "花束", "陶器", "文具", "毛布", "紅茶")
_EN_WORDS = (
    "kettle",
    "watch",
    "bag",
    "chair",
    "bicycle",
    "camera",
    "blanket",
    "tea",
    "lamp",
    "notebook",
    "boots",
    "rug",
)


def _frame(lang: str, title: str, inner: str, charset: str = "utf-8") -> str:
    words = LABELS[lang if lang in LABELS else "en"]
    menu = "".join(f'<li><a href="/{number}">{escape(name)}</a></li>' for number, name in enumerate(words.sections))
    return f"""<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="{charset}"><title>{escape(title)}</title></head>
<body><header><nav><ul><li><a href="/">{escape(words.home)}</a></li>{menu}</ul></nav></header>
<main><h1>{escape(title)}</h1>
{inner}
</main>
<footer><a href="/privacy">{escape(words.privacy)}</a> <a href="/terms">{escape(words.terms)}</a></footer></body></html>
"""


def _junk(
    url: str, kind: str, lang: str, title: str, inner: str, reason: str = "quality", encoding: str = "utf-8"
) -> Page:
    truth = Truth(url=url, kind=kind, lang=lang, encoding=encoding, slug="", expected="drop", reason=reason)
    return html_page(truth, encode(_frame(lang, title, inner, encoding), encoding), "")


def _boilerplate() -> list[Page]:
    login = '<form action="/login"><label>{}<input name="id"></label><label>{}<input type="password"></label>{}</form>'
    ja_login = login.format("会員番号", "暗証番号", "<p>お忘れの方はこちら</p><button>ログイン</button>")
    en_login = login.format("User name", "Password", "<p>Forgotten it?</p><button>Log in</button>")
    ja_contact = (
        "<p>お問い合わせは下の欄にご記入ください。</p><form><textarea></textarea><button>送信する</button></form>"
    )
    en_contact = (
        "<p>Please use the form below to write to us.</p><form><textarea></textarea><button>Send</button></form>"
    )
    ja_index = "<ul>" + "".join(f'<li><a href="/t/{word}">{word}の記事一覧</a></li>' for word in _JA_WORDS) + "</ul>"
    en_index = (
        "<ul>" + "".join(f'<li><a href="/t/{word}">All about the {word}</a></li>' for word in _EN_WORDS) + "</ul>"
    )
    missing = "<p>お探しのページは見つかりませんでした。移動または削除された可能性があります。</p>"
    gone = "<p>Sorry, the page you are looking for cannot be found. It may have been moved or deleted.</p>"
    rows = (
        ("https://kurashi-techo.example/", "ja", "くらし手帖", ja_index, "utf-8"),
        ("https://asagiri-shimbun.example/login", "ja", "会員ログイン", ja_login, "utf-8"),
        ("https://nagisa-insatsu.example/contact", "ja", "お問い合わせ", ja_contact, "shift_jis"),
        ("http://kawabe-note.example/2023/lost", "ja", "ページが見つかりません", missing, "shift_jis"),
        ("https://fieldbook.example/wiki/Index", "en", "Index", en_index, "utf-8"),
        ("https://harbourline.example/login", "en", "Log in", en_login, "utf-8"),
        ("https://tidewater-press.example/contact", "en", "Contact", en_contact, "utf-8"),
        ("https://thistle-notes.example/2023/lost", "en", "Page not found", gone, "utf-8"),
    )
    return [
        _junk(url, "boilerplate", lang, title, inner, _TEXT_REASONS, code) for url, lang, title, inner, code in rows
    ]


def _spam() -> list[Page]:
    ja_bonus = "<p>" + "オンラインのカジノゲームなら無料登録で特典がもらえる人気のカジノゲームがおすすめ " * 40 + "</p>"
    ja_travel = "<p>" + "格安旅行 格安ホテル 格安航空券 格安ツアー 最安値 予約 比較 口コミ 人気 おすすめ " * 40 + "</p>"
    en_bonus = (
        "<p>" + "Play the best online slots with free spins and claim the best welcome bonus today. " * 40 + "</p>"
    )
    en_watch = "<p>" + "cheap watches buy cheap watches online best cheap watches free shipping watches " * 40 + "</p>"
    return [
        _junk("http://tokuten-game.example/", "spam", "ja", "無料特典のご案内", ja_bonus),
        _junk("http://yasui-tabi.example/osusume", "spam", "ja", "格安旅行", ja_travel, encoding="shift_jis"),
        _junk("http://lucky-spins.example/bonus", "spam", "en", "Welcome bonus", en_bonus),
        _junk("http://watch-bargains.example/", "spam", "en", "Cheap watches", en_watch),
    ]


def _link_farms() -> list[Page]:
    ja = "".join(
        f'<a href="http://{number}.links.example/">{_JA_WORDS[number % 12]}と{_JA_WORDS[number * 5 % 12]}の店</a>\n'
        for number in range(120)
    )
    en = "".join(
        f'<a href="http://{number}.links.example/">{_EN_WORDS[number % 12]} {_EN_WORDS[number * 5 % 12]} shop</a>\n'
        for number in range(120)
    )
    return [
        _junk("http://sougo-link.example/", "link_farm", "ja", "相互リンク集", f"<div>{ja}</div>", _TEXT_REASONS),
        _junk("http://linkgarden.example/", "link_farm", "en", "Partner links", f"<div>{en}</div>", _TEXT_REASONS),
    ]


def _products() -> list[Page]:
    ja = "".join(
        f"<tr><td>{_JA_WORDS[n % 12]} 型番{n + 100}<td>{n * 370 + 980:,}円（税込）<td>在庫あり<td>カートに入れる</tr>\n"
        for n in range(60)
    )
    en = "".join(
        f"<tr><td>{_EN_WORDS[n % 12].title()} no. {n + 100}<td>${n * 3 + 9}.99<td>In stock<td>Add to cart</tr>\n"
        for n in range(60)
    )
    table = "<table class=items>\n{}</table>"
    return [
        _junk("https://mameda-shoten.example/items", "products", "ja", "商品一覧", table.format(ja), _TEXT_REASONS),
        _junk("https://oddments-shop.example/all", "products", "en", "All items", table.format(en), _TEXT_REASONS),
    ]


def _stubs() -> list[Page]:
    ja_dummy = "<p>" + "この文章は見本です。文字の大きさや行間を確かめるために入れてあります。" * 40 + "</p>"
    en_dummy = (
        "<p>" + "This is a sample of the text that will be here. It is only meant to fill the page. " * 40 + "</p>"
    )
    lorem = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore. "
    short_ja = "<p>本日は定休日です。明日は朝九時から営業いたします。</p>"
    short_en = "<p>We are closed today. The shop opens again at nine tomorrow morning.</p>"
    run = f"<p>{'あ' * 66_000}</p>"
    return [
        _junk("https://mameda-shoten.example/news/12", "short", "ja", "お知らせ", short_ja, _TEXT_REASONS),
        _junk("https://oddments-shop.example/news", "short", "en", "Notice", short_en, _TEXT_REASONS),
        _junk("https://mihon.example/ja", "repetition", "ja", "見本", ja_dummy),
        _junk("https://mihon.example/en", "repetition", "en", "Sample", en_dummy),
        _junk(
            "https://mihon.example/lorem", "repetition", "la", "Lorem ipsum", f"<p>{lorem * 40}</p>", "quality|language"
        ),
        _junk("https://mihon.example/run", "run", "ja", "叫び", run, "quality|language|extract"),
    ]


def _junk_of_other_types() -> list[Page]:
    robots = b"User-agent: *\nDisallow: /admin/\nSitemap: https://harbourline.example/sitemap.xml\n"
    rows: list[tuple[str, str, int, str, bytes, str]] = [
        ("https://harbourline.example/img/quay.png", "image", 200, "image/png", PNG, "mime"),
        ("https://tidewater-press.example/catalogue.pdf", "pdf", 200, "application/pdf", PDF, "mime"),
        ("https://harbourline.example/robots.txt", "robots", 200, "text/plain", robots, "mime|quality|language"),
        (
            "https://denshi-memo.example/api/posts",
            "json",
            200,
            "application/json",
            b'{"posts":[],"next":null}\n',
            "mime",
        ),
        ("https://ie-to-niwa.example/blank", "empty", 200, "text/html", b"", "payload|empty"),
        ("https://gardenrow.example/blank", "empty", 200, "text/html", b"<html><body></body></html>", "empty|language"),
        ("https://gardenrow.example/old", "redirect", 301, "text/html", b"<h1>Moved Permanently</h1>", "status"),
        ("http://kurashi-techo.example/", "redirect", 302, "text/html", b"", "status"),
        ("https://fieldbook.example/wiki/None", "error", 404, "text/html", b"<h1>404 Not Found</h1>", "status"),
        ("https://numberdesk.example/search", "error", 500, "text/html", b"<h1>Internal Server Error</h1>", "status"),
    ]
    places = {301: ("Location", "https://gardenrow.example/"), 302: ("Location", "https://kurashi-techo.example/")}
    return [
        plain_page(
            Truth(url=url, kind=kind, lang="", encoding="", slug="", expected="drop", reason=reason),
            status,
            content_type,
            body,
            *([places[status]] if status in places else []),
        )
        for url, kind, status, content_type, body, reason in rows
    ]


def junk_pages() -> list[Page]:
    """Every page that must be dropped for what it is, whatever else the crawl holds.

    >>> sorted({page.truth.expected for page in junk_pages()})
    ['drop']
    """
    return [*_boilerplate(), *_spam(), *_link_farms(), *_products(), *_stubs(), *_junk_of_other_types()]
