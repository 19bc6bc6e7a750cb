"""Page templates of today's kind: blog, news, wiki, corporate, forum; a view in, an HTML document out."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .templates_old import homepage, magazine, table
from .view import View, cookie_banner, escape, json_ld, links, meta_charset, tracker

__all__ = ["TEMPLATES", "Template"]

Template = Callable[[View], str]

_META = '<meta charset="{}">\n'


def _menu(view: View) -> str:
    return links(tuple((section, f"/category/{number}") for number, section in enumerate(view.labels.sections, 1)))


def _paragraphs(view: View, tag: str = "p") -> str:
    return "\n".join(f"<{tag}>{escape(paragraph)}</{tag}>" for paragraph in view.article.paragraphs)


def blog(view: View) -> str:
    """A hosted blog: article element, sidebar, share buttons, previous and next."""
    words = view.labels
    return f"""<!DOCTYPE html>
<html lang="{view.site.lang}">
<head>
{meta_charset(view, _META)}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{view.title} | {view.name}</title>
<link rel="canonical" href="https://{view.site.host}{view.path}">
<link rel="alternate" type="application/rss+xml" href="/feed">
<style>body{{margin:0;font-family:sans-serif;line-height:1.8}}.wrap{{max-width:960px;margin:auto;display:flex}}
.entry{{flex:3;padding:1em}}.sidebar{{flex:1;font-size:.9em}}.cookie-consent{{position:fixed;bottom:0}}</style>
{json_ld(view, "BlogPosting")}
{tracker(view)}
</head>
<body class="single post">
{cookie_banner(view)}
<header class="site-header"><p class="site-title"><a href="/">{view.name}</a></p>
<nav class="global-nav"><ul>
<li><a href="/">{escape(words.home)}</a></li>
{_menu(view)}<li><a href="/about">{escape(words.about)}</a></li>
</ul></nav></header>
<div class="wrap">
<main id="main">
<article class="entry hentry">
<h1 class="entry-title">{view.title}</h1>
<div class="entry-meta"><time datetime="{view.date}">{view.date}</time> <span class="author">{view.author}</span></div>
<div class="entry-content">
{_paragraphs(view)}
</div>
</article>
<div class="share-buttons"><a href="#" class="share">{escape(words.share)}</a></div>
<nav class="post-navigation"><a rel="prev" href="{view.related[0][1]}">&laquo; {escape(view.related[0][0])}</a></nav>
</main>
<aside class="sidebar">
<form class="search-form" action="/search"><input type="search" name="q"><button>{escape(words.search)}</button></form>
<h2>{escape(words.recent)}</h2>
<ul class="recent-posts">
{links(view.related)}</ul>
<h2>{escape(words.archive)}</h2>
<ul><li><a href="/2025">2025</a></li><li><a href="/2024">2024</a></li></ul>
</aside>
</div>
<footer class="site-footer">
<a href="/privacy">{escape(words.privacy)}</a> <a href="/contact">{escape(words.contact)}</a>
<p>&copy; 2025 {view.name}</p></footer>
</body>
</html>
"""


def news(view: View) -> str:
    """A local paper: breadcrumbs, a lead picture, related stories inside the column, a newsletter box."""
    words = view.labels
    middle = (len(view.article.paragraphs) + 1) // 2
    first = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in view.article.paragraphs[:middle])
    second = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in view.article.paragraphs[middle:])
    return f"""<!DOCTYPE html>
<html lang="{view.site.lang}" prefix="og: https://ogp.me/ns#">
<head>
{meta_charset(view, _META)}<title>{view.title} - {view.name}</title>
<meta property="og:title" content="{view.title}"><meta property="og:type" content="article">
<style>
.breadcrumb li{{display:inline}}
.article-body p{{margin:0 0 1.2em}}
.ad-slot{{min-height:250px;background:#eee}}
</style>
{json_ld(view, "NewsArticle")}
</head>
<body>
<noscript><img src="/beacon.gif" alt=""></noscript>
<header role="banner"><div class="logo"><a href="/">{view.name}</a></div>
<nav role="navigation"><ul class="menu">
{_menu(view)}<li><a href="/login">{escape(words.login)}</a></li></ul></nav></header>
<ol class="breadcrumb"><li><a href="/">{escape(words.home)}</a></li>
<li><a href="/section">{escape(view.section)}</a></li><li>{view.title}</li></ol>
<main>
<article itemscope itemtype="https://schema.org/NewsArticle">
<h1 itemprop="headline">{view.title}</h1>
<p class="byline">{escape(words.by)} {view.author}
<time itemprop="datePublished" datetime="{view.date}">{view.date}</time></p>
<figure><img src="/img/{view.article.slug}.jpg" alt="" width="800" height="450"></figure>
<div class="article-body" itemprop="articleBody">
{first}
<div class="ad-slot" id="ad-1"><script>window.ads=window.ads||[];ads.push("ad-1");</script></div>
{second}
</div>
</article>
<section class="related"><h2>{escape(words.related)}</h2>
<ul>
{links(view.related)}</ul></section>
</main>
<aside class="newsletter"><h3>{escape(words.newsletter)}</h3><form><input type="email" name="mail"></form></aside>
<footer><ul><li><a href="/terms">{escape(words.terms)}</a></li>
<li><a href="/privacy">{escape(words.privacy)}</a></li></ul>
<small>&copy; {view.name}. {escape(words.rights)}.</small></footer>
{cookie_banner(view)}
{tracker(view)}
</body>
</html>
"""


def wiki(view: View) -> str:
    """A wiki: tabs, a toolbox, edit links, a category line, the article in one deep div."""
    words = view.labels
    return f"""<!DOCTYPE html>
<html class="client-nojs" lang="{view.site.lang}" dir="ltr">
<head>
{meta_charset(view, '<meta charset="{}"/>')}<title>{view.title} - {view.name}</title>
<script>document.documentElement.className="client-js";
RLCONF={{"wgPageName":"{view.article.slug}","wgAction":"view"}};</script>
<link rel="stylesheet" href="/load.php?only=styles"/>
</head>
<body class="mediawiki ltr ns-0 page skin-plain">
<div id="mw-page-base"></div>
<div id="content" class="mw-body" role="main">
<a id="top"></a>
<h1 id="firstHeading" class="firstHeading">{view.title}</h1>
<div id="bodyContent" class="mw-body-content">
<div id="siteSub" class="noprint">{view.name}</div>
<div id="mw-content-text" class="mw-content-ltr"><div class="mw-parser-output">
{_paragraphs(view)}
</div></div>
<div id="catlinks" class="catlinks"><div id="mw-normal-catlinks"><a href="/categories">{escape(words.tags)}</a>:
<ul><li><a href="/category/{view.article.topic}">{escape(view.section)}</a></li></ul></div></div>
</div>
</div>
<div id="mw-navigation">
<div id="mw-head"><div id="p-personal" role="navigation" class="nav"><ul>
<li><a href="/login">{escape(words.login)}</a></li></ul></div>
<div id="left-navigation" role="navigation"><ul class="tabs"><li><a href="{view.path}">{view.name}</a></li>
<li><a href="{view.path}/edit">{escape(words.edit)}</a></li>
<li><a href="{view.path}/history">{escape(words.history)}</a></li></ul></div>
<form id="searchform" action="/w"><input type="search" name="search" placeholder="{escape(words.search)}"></form></div>
<div id="mw-panel" class="sidebar"><div class="portal" role="navigation" id="p-navigation"><ul>
{links(view.related)}</ul></div></div>
</div>
<div id="footer" role="contentinfo" class="footer">
<ul id="footer-info"><li id="footer-info-lastmod">{escape(words.updated)} {view.date}</li></ul>
<ul id="footer-places"><li><a href="/privacy">{escape(words.privacy)}</a></li>
<li><a href="/about">{escape(words.about)}</a></li></ul>
</div>
</body>
</html>
"""


def corporate(view: View) -> str:
    """A company's column: framework classes, a hero, a call to action, a fat footer."""
    words = view.labels
    return f"""<!doctype html>
<html lang="{view.site.lang}">
  <head>
    {meta_charset(view, '<meta http-equiv="Content-Type" content="text/html; charset={}">')}
    <title>{view.title} | {view.name}</title>
    <meta name="viewport" content="width=device-width">
    <style>.hero{{background:#234;color:#fff}}.row{{display:flex;flex-wrap:wrap}}
    .col-md-8{{width:66%}}.btn{{padding:.5em 1em}}</style>
    {tracker(view)}
  </head>
  <body>
    <div class="navbar navbar-default" role="navigation"><div class="container">
      <a class="navbar-brand" href="/">{view.name}</a>
      <ul class="nav navbar-nav">
      {_menu(view)}</ul>
    </div></div>
    <div class="hero"><div class="container"><h1>{view.title}</h1></div></div>
    <div class="container"><ol class="breadcrumb"><li><a href="/">{escape(words.home)}</a></li>
    <li class="active">{view.title}</li></ol></div>
    <main class="container"><div class="row">
      <div class="col-md-8 content">
        <div class="column-body">
{_paragraphs(view)}
        </div>
      </div>
      <div class="col-md-4 side-menu">
        <div class="panel"><div class="panel-heading">{escape(words.related)}</div><ul class="list-group">
        {links(view.related)}</ul></div>
        <a class="btn btn-primary" href="/contact">{escape(words.contact)}</a>
      </div>
    </div></main>
    <footer class="footer"><div class="container row">
      <ul class="footer-menu"><li><a href="/about">{escape(words.about)}</a></li>
      <li><a href="/terms">{escape(words.terms)}</a></li>
      <li><a href="/privacy">{escape(words.privacy)}</a></li></ul>
      <p class="copyright">Copyright &copy; {view.name}</p>
    </div></footer>
    {cookie_banner(view)}
  </body>
</html>
"""


def forum(view: View) -> str:
    """A thread of a board: a long first post with a signature, short navigation around it."""
    words = view.labels
    return f"""<!DOCTYPE html>
<html lang="{view.site.lang}">
<head>
{meta_charset(view, _META)}<title>{view.title} - {view.name}</title>
<link rel="stylesheet" href="/styles/board.css">
<style>.post{{border:1px solid #ccc}}.postprofile{{float:right;width:120px}}</style>
</head>
<body id="phpbb" class="section-viewtopic">
<div id="wrap">
<div id="page-header" class="header"><a id="logo" href="/">{view.name}</a>
<ul class="linklist navbar"><li><a href="/faq">FAQ</a></li><li><a href="/members">{escape(words.members)}</a></li>
<li><a href="/login">{escape(words.login)}</a></li></ul></div>
<div id="page-body" role="main">
<h2 class="topic-title"><a href="{view.path}">{view.title}</a></h2>
<div class="action-bar"><a href="{view.path}/reply" class="button">{escape(words.reply)}</a></div>
<div id="p1" class="post has-profile bg2">
<div class="postbody">
<p class="author"><time datetime="{view.date}">{view.date}</time> {view.author}</p>
<div class="content">
{_paragraphs(view)}
</div>
</div>
<dl class="postprofile"><dt><a href="/member/7">{view.author}</a></dt><dd>#412</dd></dl>
</div>
<div class="action-bar actions-jump"><a href="/">{escape(words.home)}</a></div>
<div class="related-topics"><h3>{escape(words.related)}</h3><ul>
{links(view.related)}</ul></div>
</div>
<div id="page-footer" class="footer"><ul class="linklist"><li><a href="/terms">{escape(words.terms)}</a></li></ul>
<div class="copyright">{view.name} &copy; {escape(words.rights)}</div></div>
</div>
{tracker(view)}
</body>
</html>
"""


TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "blog": blog,
        "news": news,
        "wiki": wiki,
        "corporate": corporate,
        "forum": forum,
        "table": table,
        "homepage": homepage,
        "magazine": magazine,
    }
)
"""Template by name; the last three carry the broken markup."""
