"""A mail taken apart: only what its writer says now is judged, as plain text.

Line by line and in linear time, with the standard library alone: the expressions of the well-known reply parsers take minutes for one
hostile mail of 15 kB (docs/decisions/tickets.md).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

from opsloop.core.tickets.features import fold

AUTO_REPLY, BOUNCE = "auto-reply", "bounce"

_MARKUP = re.compile(r"<(?:!doctype|html|head|body|div|p|br|table|span|style|font|ul|ol|li|blockquote)\b[^<>]{0,300}/?>", re.IGNORECASE)  # fmt: skip
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});", re.IGNORECASE)
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "br",
        "tr",
        "li",
        "ul",
        "ol",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "pre",
        "section",
        "article",
        "header",
        "footer",
    ]
)
_UNSEEN = frozenset(["head", "style", "script", "title", "template", "blockquote"])
_VOID = frozenset(
    ["br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr"]
)
_QUOTES = ("gmail_quote", "gmail_signature", "moz-cite-prefix", "moz-signature", "yahoo_quoted", "divrplyfwdmsg", "appendonsend", "protonmail_quote", "outlookmessageheader")  # fmt: skip
_PASSED_OVER = tuple(
    (re.compile(begin, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for begin, end in (
        (r"<!--", r"-->"),
        (r"<style(?=[\s/>])", r"</style[^<>]{0,20}>"),
        (r"<script(?=[\s/>])", r"</script[^<>]{0,20}>"),
    )
)
_ANY_TAG = re.compile(r"<(?P<name>/?[a-zA-Z][a-zA-Z0-9:-]{0,30})(?P<attributes>(?:[\s/][^<>]*)?)>|<[!?][^<>]*>|<")
_MARK = re.compile(r"""\b(?:class|id)\s?=\s?(?:"([^"<>]*)"|'([^'<>"]*)'|([^\s"'<>]+))""", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]{0,300}>", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()\s]{0,500}(?:\([^()]{0,100}\))?[^()\s]{0,100}\)")

# Of a form in Markdown what its writer only ticked or left as it was
_FORM = re.compile(r"\s{0,8}(?:[-*+] \[[ xX]?\] |_No response_\s*$)")

_PREFIX = re.compile(
    r"(?:re|aw|antw|fwd?|wg|tr|rv|sv|vs|res)\s?(?:\[\d+\])?\s?:\s*|\[[^\]\s]{1,40}\]\s*", re.IGNORECASE
)
_WROTE = (" wrote", " schrieb", " a ecrit", " escribio", " ha scritto", " schreef", " escreveu")
_ON = ("on ", "am ", "le ", "el ", "il ", "op ", "em ", "at ")
_ORIGINAL = (
    "original message", "forwarded message", "begin forwarded", "original appointment", "ursprungliche nachricht",
    "weitergeleitete nachricht", "message d'origine", "message original", "message transfere", "mensaje original", "mensaje reenviado",
)  # fmt: skip
_FROM = ("from:", "von:", "de:", "de :", "da:", "van:")
_HEADER = ("sent:", "date:", "to:", "subject:", "gesendet:", "datum:", "an:", "betreff:", "envoye:", "envoye :", "date :", "a:", "a :", "objet:", "objet :", "enviado:", "enviado el:", "fecha:", "para:", "asunto:")  # fmt: skip
_DEVICE = (
    "sent from my", "sent from mobile", "get outlook for", "sent via", "von meinem", "gesendet von", "gesendet mit", "envoye de mon",
    "envoye depuis", "enviado desde", "telecharger outlook", "obtener outlook", "outlook fur",
)  # fmt: skip
_CLOSINGS = frozenset(
    [
        "best regards",
        "kind regards",
        "regards",
        "warm regards",
        "best wishes",
        "yours sincerely",
        "yours faithfully",
        "sincerely",
        "cheers",
        "best",
        "kindest regards",
        "many thanks and kind regards",
        "mit freundlichen grussen",
        "mit freundlichem gruss",
        "freundliche grusse",
        "viele grusse",
        "liebe grusse",
        "beste grusse",
        "schone grusse",
        "mfg",
        "lg",
        "vg",
        "gruss",
        "cordialement",
        "bien cordialement",
        "salutations",
        "sinceres salutations",
        "bonne journee",
        "bien a vous",
        "saludos",
        "un saludo",
        "saludos cordiales",
        "un cordial saludo",
        "atentamente",
        "cordialmente",
    ]
)
_LONGEST_SIGNATURE = 15  # lines
_LETTER = re.compile(r"\b(?:e-?mail|message|nachricht|courriel|correo|mensaje|communication)\b")
_LEGAL = re.compile(
    r"\b(?:confidential|privileged|intended (?:solely|only|for|recipient)|received (?:it|this|the)[^.]{0,40} in error|vertraulich|irrtumlich|confidentiel"
    r"|destinataire|confidencial|destinatario|think before you print|disclaimer|haftungsausschluss)\b"
)
_TO_READER = re.compile(
    r"\b(?:recipient|notify|delete|sender|liability|unauthori[sz]ed|empfanger|absender|vernichten|destinataire|expediteur|destinatario|remitente|print)\b"
)
_AUTO_SUBJECT = (
    "automatic reply", "auto reply", "auto-reply", "autoreply", "auto:", "out of office", "out of the office", "on vacation:",
    "abwesenheit", "automatische antwort", "abwesend", "reponse automatique", "absence du bureau", "message d'absence",
    "respuesta automatica", "fuera de la oficina", "ausencia",
)  # fmt: skip
_BOUNCE_SUBJECT = (
    "undeliverable:", "undelivered mail", "delivery status notification", "mail delivery failed", "mail delivery subsystem",
    "returned mail", "failure notice", "message not delivered:", "unzustellbar:", "nicht zustellbar:", "non remis :", "non remis:",
    "echec de la remise", "no se pudo entregar:", "no entregado:",
)  # fmt: skip
_SENDERS_OF_BOUNCES = ("mailer-daemon", "postmaster@")


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What a person wrote: `automatic` names what wrote it instead (auto-reply, bounce), and then there are no words."""

    subject: str
    body: str
    automatic: str = ""


def own_words(subject: str, body: str, automatic: str = "") -> OwnWords:
    """The writer's own words in plain text; `automatic` as `automatic_by_headers` found it."""
    bare = _subject(subject)
    if automatic := automatic or _automatic_by_subject(bare):
        return OwnWords("", "", automatic)
    lines = visible(body).splitlines()
    return OwnWords(_without_markup(bare), _without_markup("\n".join(_own_lines(lines))).strip())


def automatic_by_headers(headers: Mapping[str, str]) -> str:
    """AUTO_REPLY, BOUNCE or "", by RFC 3834 and what common servers send; names of headers in any case."""
    found = {name.lower(): value.strip().lower() for name, value in headers.items()}
    sender = found.get("from", "")
    if (
        found.get("return-path") == "<>"
        or any(name in sender for name in _SENDERS_OF_BOUNCES)
        or "x-failed-recipients" in found
    ):
        return BOUNCE if "report" in found.get("content-type", "report") or sender else AUTO_REPLY
    if (
        found.get("auto-submitted", "no").split(";")[0].strip() != "no"
        or "x-autoreply" in found
        or "x-autorespond" in found
    ):
        return AUTO_REPLY
    return AUTO_REPLY if found.get("precedence") in ("auto_reply", "auto-reply") else ""


def html_to_text(html: str) -> str:
    """The visible text; quoted mails, styles and scripts are left out, blocks end a line."""
    reader = _Html()
    reader.feed(_bare_tags(html))
    reader.close()
    return "".join(reader.parts)


def _bare_tags(html: str) -> str:
    """The same with whole tags alone, of their class and id. What is no whole tag is text, and comments, styles and scripts are gone.

    `html.parser` reads the rest anew at every tag that does not end, so that 16 kB take it minutes, and fails at some.
    """
    for begin, end in _PASSED_OVER:
        html = _without(html, begin, end)
    return _ANY_TAG.sub(_bare_tag, html)


def _without(html: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str:
    parts, at = [], 0
    while found := begin.search(html, at):
        parts.append(html[at : found.start()])
        last = end.search(html, found.end())
        at = last.end() if last else len(html)
    return " ".join([*parts, html[at:]])


def _bare_tag(match: re.Match[str]) -> str:
    name = match["name"]
    if not name:
        return "&lt;" if match[0] == "<" else ""
    marks = " ".join(m[1] or m[2] or m[3] or "" for m in _MARK.finditer(match["attributes"][:2000]))
    return f'<{name} class="{marks}">' if marks else f"<{name}>"


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []  # open tags, from the first one whose content is not shown

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")
        if tag in _VOID:
            return
        mark = " ".join(value or "" for name, value in attrs if name in ("class", "id")).lower()
        if self._hidden or tag in _UNSEEN or any(quote in mark for quote in _QUOTES):
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:  # what a careless writer left open ends with it
            while self._hidden.pop() != tag:
                pass
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def visible(body: str) -> str:
    """The text of a mail's body, which may be HTML."""
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    if "<!--" in body:  # forms in Markdown explain themselves in comments too
        body = _without(body, *_PASSED_OVER[0])
    if _MARKUP.search(body):
        return html_to_text(body)
    return unescape(body) if _ENTITY.search(body) else body


def _without_markup(text: str) -> str:
    """Without tags and Markdown: of a link its words stay, of a picture and of code nothing."""
    lines, code = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not _FORM.match(line):
            lines.append(line.strip().strip("#*|_ ").replace("**", "").replace("|", " "))
    text = "\n".join(line for line in lines if line.strip("-=+: "))
    return _TAG.sub(" ", _LINK.sub(lambda m: "" if m[0].startswith("!") else m[1], text))


def _own_lines(lines: Sequence[str]) -> list[str]:
    own: list[str] = []
    for i, line in enumerate(lines):
        if _begins_quote(lines, i) and any(previous.strip() for previous in own):
            break
        if line.lstrip().startswith(">") or _begins_quote(lines, i):
            continue
        if _begins_signature(line, len(lines) - i) and any(previous.strip() for previous in own):
            break
        own.append(line)
    return _without_disclaimer(own)


def _begins_quote(lines: Sequence[str], i: int) -> bool:
    line = fold(lines[i].strip()[:400]).strip("*_ ")
    if not line:
        return False
    joined = line if i + 1 >= len(lines) else f"{line} {fold(lines[i + 1].strip()[:200])}"
    for text in (line, joined):
        if text.startswith(_ON) and text.rstrip().endswith(":") and any(word in text for word in _WROTE):
            return any(c.isdigit() for c in text)
    if any(mark in line for mark in _ORIGINAL) and (line.startswith("-") or line.endswith((":", "-"))):
        return True
    following = [fold(text.strip()[:100]).strip("*_ ") for text in lines[i + 1 : i + 5]]
    return line.startswith(_FROM) and sum(text.startswith(_HEADER) for text in following) >= 2


def _begins_signature(line: str, remaining: int) -> bool:
    if line.rstrip() in ("--", "-- ", "—", "__"):
        return True
    text = fold(line.strip()[:100])
    if text.startswith(_DEVICE):
        return True
    return text.rstrip(",.! ") in _CLOSINGS and remaining <= _LONGEST_SIGNATURE


def _without_disclaimer(lines: Sequence[str]) -> list[str]:
    """Without the paragraphs that lawyers wrote."""
    kept: list[str] = []
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
            continue
        text = fold(" ".join(paragraph)[:4000])
        if not (_LETTER.search(text) and _LEGAL.search(text) and _TO_READER.search(text)):
            kept += [*paragraph, line]
        paragraph = []
    return kept


def _subject(subject: str) -> str:
    text = unescape(subject).strip()
    while match := _PREFIX.match(text):
        text = text[match.end() :]
    return text


def _automatic_by_subject(subject: str) -> str:
    text = fold(subject[:200])
    if text.startswith(_AUTO_SUBJECT):
        return AUTO_REPLY
    return BOUNCE if text.startswith(_BOUNCE_SUBJECT) else ""
