"""The words that frame an article on a page (menus, buttons, notices), in six languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["LABELS", "Labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Words of a page's frame in one language; every Japanese one exists in JIS X 0208."""

    home: str
    about: str
    contact: str
    sections: tuple[str, ...]
    """Four menu entries."""
    search: str
    login: str
    related: str
    recent: str
    archive: str
    tags: str
    share: str
    by: str
    posted: str
    updated: str
    previous: str
    following: str
    reply: str
    edit: str
    history: str
    privacy: str
    terms: str
    cookie: str
    accept: str
    newsletter: str
    members: str
    rights: str


LABELS: Mapping[str, Labels] = MappingProxyType(
    {
        "ja": Labels(
            home="ホーム",
            about="このサイトについて",
            contact="お問い合わせ",
            sections=("くらし", "まちと旅", "ものづくり", "学び"),
            search="検索",
            login="ログイン",
            related="関連記事",
            recent="最近の記事",
            archive="過去の記事",
            tags="タグ",
            share="共有する",
            by="文",
            posted="公開日",
            updated="最終更新",
            previous="前の記事",
            following="次の記事",
            reply="返信",
            edit="編集",
            history="変更履歴",
            privacy="個人情報の取り扱い",
            terms="利用規約",
            cookie="当サイトでは利便性の向上のためクッキーを使用しています。",
            accept="同意する",
            newsletter="メールマガジン登録",
            members="会員一覧",
            rights="無断転載を禁じます",
        ),
        "en": Labels(
            home="Home",
            about="About us",
            contact="Contact",
            sections=("Living", "Places", "Making", "Learning"),
            search="Search",
            login="Log in",
            related="Related stories",
            recent="Recent posts",
            archive="Archive",
            tags="Tags",
            share="Share this",
            by="By",
            posted="Published",
            updated="Last updated",
            previous="Previous",
            following="Next",
            reply="Reply",
            edit="Edit",
            history="History",
            privacy="Privacy policy",
            terms="Terms of use",
            cookie="We use cookies to make this site work better for you.",
            accept="Accept all",
            newsletter="Sign up for our newsletter",
            members="Members",
            rights="All rights reserved",
        ),
        "zh": Labels(
            home="首页",
            about="关于我们",
            contact="联系方式",
            sections=("生活", "旅行", "手艺", "学习"),
            search="搜索",
            login="登录",
            related="相关文章",
            recent="最新文章",
            archive="归档",
            tags="标签",
            share="分享",
            by="作者",
            posted="发布于",
            updated="更新于",
            previous="上一篇",
            following="下一篇",
            reply="回复",
            edit="编辑",
            history="历史",
            privacy="隐私政策",
            terms="使用条款",
            cookie="本网站使用必要的浏览器缓存。",
            accept="同意",
            newsletter="订阅",
            members="成员",
            rights="版权所有",
        ),
        "ko": Labels(
            home="홈",
            about="소개",
            contact="문의",
            sections=("생활", "여행", "공예", "배움"),
            search="검색",
            login="로그인",
            related="관련 글",
            recent="최근 글",
            archive="지난 글",
            tags="태그",
            share="공유",
            by="글",
            posted="작성일",
            updated="수정일",
            previous="이전 글",
            following="다음 글",
            reply="답글",
            edit="편집",
            history="기록",
            privacy="개인정보 처리방침",
            terms="이용약관",
            cookie="이 사이트는 쿠키를 사용합니다.",
            accept="동의",
            newsletter="소식 받기",
            members="회원",
            rights="무단 전재 금지",
        ),
        "fr": Labels(
            home="Accueil",
            about="À propos",
            contact="Nous écrire",
            sections=("Vivre", "Voyager", "Fabriquer", "Apprendre"),
            search="Rechercher",
            login="Connexion",
            related="À lire aussi",
            recent="Derniers articles",
            archive="Archives",
            tags="Mots-clés",
            share="Partager",
            by="Par",
            posted="Publié le",
            updated="Mis à jour le",
            previous="Précédent",
            following="Suivant",
            reply="Répondre",
            edit="Modifier",
            history="Historique",
            privacy="Confidentialité",
            terms="Conditions",
            cookie="Ce site utilise des cookies.",
            accept="Accepter",
            newsletter="Lettre d'information",
            members="Membres",
            rights="Tous droits réservés",
        ),
        "de": Labels(
            home="Startseite",
            about="Über uns",
            contact="Kontakt",
            sections=("Leben", "Reisen", "Werken", "Lernen"),
            search="Suche",
            login="Anmelden",
            related="Mehr zum Thema",
            recent="Neueste Beiträge",
            archive="Archiv",
            tags="Schlagwörter",
            share="Teilen",
            by="Von",
            posted="Veröffentlicht am",
            updated="Zuletzt geändert",
            previous="Zurück",
            following="Weiter",
            reply="Antworten",
            edit="Bearbeiten",
            history="Versionen",
            privacy="Datenschutz",
            terms="Impressum",
            cookie="Diese Seite verwendet Cookies.",
            accept="Einverstanden",
            newsletter="Rundbrief bestellen",
            members="Mitglieder",
            rights="Alle Rechte vorbehalten",
        ),
    }
)
"""Labels by ISO 639-1 code."""
