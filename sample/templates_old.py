"""Page templates of an older web and their broken markup: a table layout, a bare home page, a soup of divs."""

import textwrap

from .view import View, cookie_banner, escape, json_ld, links, meta_charset, tracker

__all__ = ["homepage", "magazine", "table"]

_HTTP_EQUIV = '<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset={}">\n'


def _wrapped(view: View) -> list[str]:
    """Paragraphs as HTML, hard-wrapped as by the editors of the time where a line break means a space."""
    spaced = view.article.lang not in ("ja", "zh")
    return [
        "\n".join(textwrap.wrap(escape(paragraph), 76, break_on_hyphens=False, break_long_words=False))
        if spaced
        else escape(paragraph)
        for paragraph in view.article.paragraphs
    ]


def table(view: View) -> str:
    """A layout of tables about 2001: spacers, font tags, paragraphs parted by two line breaks, cells unclosed."""
    words = view.labels
    body = "<BR>\n<BR>\n".join(_wrapped(view))
    menu = links(tuple((section, f"s{number}.html") for number, section in enumerate(words.sections, 1)), "", "<BR>\n")
    return f"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">
<HTML>
<HEAD>
{meta_charset(view, _HTTP_EQUIV)}<TITLE>{view.title}</TITLE>
<STYLE TYPE="text/css"><!--
A {{ text-decoration: none; }}
TD {{ font-size: 10pt; line-height: 160%; }}
--></STYLE>
<SCRIPT LANGUAGE="JavaScript"><!--
function jump(f){{ location.href = f.options[f.selectedIndex].value; }}
//--></SCRIPT>
</HEAD>
<BODY BGCOLOR="#FFFFFF" TEXT="#333333" LINK="#0066CC">
<CENTER>
<TABLE WIDTH="760" BORDER="0" CELLPADDING="0" CELLSPACING="0">
<TR><TD COLSPAN="3" BGCOLOR="#003366">
<A HREF="index.html"><FONT COLOR="#FFFFFF" SIZE="5"><B>{view.name}</B></FONT></A></TD></TR>
<TR><TD COLSPAN="3"><FONT SIZE="2">
<A HREF="index.html">{escape(words.home)}</A> &gt; {escape(view.section)} &gt; {view.title}</FONT></TD></TR>
<TR>
<TD WIDTH="140" VALIGN="TOP" CLASS="menu"><FONT SIZE="2">
{menu}<A HREF="bbs.cgi">BBS</A><BR>
</FONT>
<TD WIDTH="20"><IMG SRC="spacer.gif" WIDTH="20" HEIGHT="1" ALT="">
<TD WIDTH="600" VALIGN="TOP">
<H2>{view.title}</H2>
<FONT SIZE="3">
{body}
</FONT>
<HR SIZE="1" NOSHADE>
<DIV ALIGN="RIGHT"><FONT SIZE="1">{view.date} {view.author}</FONT></DIV>
</TR>
</TABLE>
<TABLE WIDTH="760" CLASS="footer"><TR><TD ALIGN="CENTER"><FONT SIZE="1">
{links(view.related, "[ ", " ]" + chr(10))}<BR>
Copyright (C) 2001-2006 {view.name}</FONT></TABLE>
</CENTER>
</BODY>
</HTML>
"""


def homepage(view: View) -> str:
    """A personal page typed by hand: no html, head or body tags, paragraphs never closed, a counter at the end."""
    words = view.labels
    paragraphs = "\n\n<p>".join(_wrapped(view))
    return f"""{meta_charset(view, _HTTP_EQUIV)}<title>{view.title}</title>
<h1>{view.title}</h1>
<hr>

<p>{paragraphs}

<hr>
<ul class="nav">
{links(view.related, after=chr(10))}</ul>
<a href="index.html">{escape(words.home)}</a> / <a href="bbs.cgi?page=1&mode=view">{escape(words.contact)}</a>
<div class="footer"><i>{view.date} <b>{view.name}</i></b>
<img src="count.cgi?{view.article.slug}" alt=counter></div>
"""


def magazine(view: View) -> str:
    """A soup of divs: tags closed in the wrong order, others never, a second body tag, attributes unquoted."""
    words = view.labels
    lead, *rest = (escape(paragraph) for paragraph in view.article.paragraphs)
    body = "\n".join(f"<p><span class=t>{paragraph}</p></span>" for paragraph in rest)
    return f"""<!DOCTYPE html>
<html lang={view.site.lang}><head>{meta_charset(view, "<meta charset={}>")}
<title>{view.title} :: {view.name}</title>
<style>#page{{width:90%}} .lead{{font-weight:bold}}</style>
{json_ld(view, "Article")}
<body class=layout>
<div id=page>
<div class=header><div class=logo><a href=/>{view.name}</div></a>
<div class="menu nav"><ul><li><a href=/new>{escape(words.recent)}</a>
<li><a href=/archive>{escape(words.archive)}</a>
<li><a href=/about>{escape(words.about)}</ul></div>
</div>
<body>
<div id=main class=article>
<h1><b>{view.title}</h1></b>
<div class=date>{view.date}</div>
<p class=lead>{lead}
{body}
<p>
</div>
<div class="related sidebar"><h3>{escape(words.related)}</h3>
<ul>{links(view.related, after="")}</ul>
</div>
<div class=footer><center>{view.name} <font size=1>&copy; {escape(words.rights)}</center></font></div>
{cookie_banner(view)}
</div>
{tracker(view)}
</html>
"""
