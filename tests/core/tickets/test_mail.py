"""Mails taken apart: the writer's own words, and nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.tickets.mail import AUTO_REPLY, BOUNCE, automatic_by_headers, html_to_text, own_words

OWN = "It fails again."


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(OWN, id="plain text"),
        pytest.param("<p>It fails <b>again</b>.</p>", id="HTML"),
        pytest.param("<html><head><style>p{color:red}</style></head><body><p>It&nbsp;fails again&#46;</p></body></html>", id="CSS, entities"),
        pytest.param(f"<div>{OWN}</div><script>alert('refund')</script>", id="a script"),
        pytest.param(f'<div>{OWN}</div><div class="gmail_quote">On Monday we issued a refund</div>', id="a quote of Gmail"),
        pytest.param(f"<div>{OWN}</div><blockquote>refund<div>invoice</div></blockquote>", id="a quoted block"),
        pytest.param(f"{OWN}\n\nOn Mon, 5 Jan 2026 at 07:12, Help <h@x.example> wrote:\n> refund\n> invoice", id="a reply in English"),
        pytest.param(f"{OWN}\n\nOn Mon, 5 Jan 2026 at 07:12, Help\n<h@x.example> wrote:\n> refund", id="its header in two lines"),
        pytest.param(f"{OWN}\n\nAm Mo., 5. Jan. 2026 um 07:12 schrieb Hilfe <h@x.example>:\n> Rechnung", id="in German"),
        pytest.param(f"{OWN}\n\nLe lun. 5 janv. 2026 à 07:12, Aide <h@x.example> a écrit :\n> facture", id="in French"),
        pytest.param(f"{OWN}\n\nEl lun, 5 ene 2026 a las 7:12, Ayuda escribió:\n> factura", id="in Spanish"),
        pytest.param(f"> Did the refund arrive?\n{OWN}", id="an answer below what it answers"),
        pytest.param(f"{OWN}\n\n-----Original Message-----\nrefund of invoice 7", id="Outlook's line"),
        pytest.param(f"{OWN}\n\nVon: Hilfe\nGesendet: Montag\nAn: Anna\nBetreff: Rechnung\n\nrefund", id="Outlook's header"),
        pytest.param(f"{OWN}\n\n-- \nAnna\nHead of Billing", id="a signature"),
        pytest.param(f"{OWN}\n\nMit freundlichen Grüßen\nHans Fehler\nRechnungswesen", id="a closing"),
        pytest.param(f"{OWN}\n\nSent from my iPhone", id="a device"),
        pytest.param(f"{OWN}\n\nThis e-mail is confidential. If you received it in error notify the sender.", id="a disclaimer"),
        pytest.param(f"{OWN}\n```\nrefund\n```", id="code"),
        pytest.param(f"<!-- Please describe\nthe refund -->\n{OWN}", id="a form's comment"),
        pytest.param(f"- [x] I searched for refunds\n- [ ] I am an admin\n\n{OWN}\n_No response_", id="what was only ticked or left empty"),
    ],
)  # fmt: skip
def test_only_the_writers_own_words_stay(body: str) -> None:
    assert own_words("", body).body.replace("\xa0", " ") == OWN


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("On Monday it wrote:", id="a sentence like a header, without a number"),
        pytest.param("Your mail shows confidential data of another customer", id="a complaint with a lawyer's word"),
        pytest.param("a < b and c > d", id="signs of comparison"),
        pytest.param("Regards to the team that broke it", id="a closing inside a sentence"),
        pytest.param("From: is missing in the form", id="a field's name"),
    ],
)
def test_what_merely_looks_like_an_ornament_stays(body: str) -> None:
    assert own_words("", body).body == body


def test_a_links_words_stay_and_its_address_does_not() -> None:
    assert own_words("", "see [the page](javascript:alert(1)) ![x](http://evil.example/p.png)").body == "see the page"


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        pytest.param("Automatic reply: Wrong answers", AUTO_REPLY, id="English"),
        pytest.param("Re: [#12] Abwesenheitsnotiz", AUTO_REPLY, id="German, below prefixes"),
        pytest.param("Réponse automatique : absent", AUTO_REPLY, id="French"),
        pytest.param("Respuesta automática: hola", AUTO_REPLY, id="Spanish"),
        pytest.param("Undeliverable: your message", BOUNCE, id="a bounce"),
        pytest.param("Undeliverable?", "", id="a customer about a parcel"),
        pytest.param("Re: AW: [T-1] Wrong answers", "", id="an answer"),
    ],
)
def test_automatic_mail_by_its_subject(subject: str, kind: str) -> None:
    words = own_words(subject, "I am away")
    assert words.automatic == kind and bool(words.body) == (not kind)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        pytest.param({"auto-submitted": "auto-replied; x=1"}, AUTO_REPLY, id="RFC 3834"),
        pytest.param({"Auto-Submitted": "no"}, "", id="a person"),
        pytest.param({"Precedence": "auto_reply"}, AUTO_REPLY, id="precedence"),
        pytest.param({"Precedence": "bulk"}, "", id="a list is not automatic"),
        pytest.param({"From": "MAILER-DAEMON@x.example"}, BOUNCE, id="a mail server"),
        pytest.param({"X-Failed-Recipients": "a@x.example"}, BOUNCE, id="its header"),
        pytest.param({}, "", id="none"),
    ],
)
def test_automatic_mail_by_its_headers(headers: dict[str, str], kind: str) -> None:
    assert automatic_by_headers(headers) == kind


@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_can_be_taken_apart_and_nothing_is_added(subject: str, body: str) -> None:
    words = own_words(subject, body)
    assert len(words.body) <= len(body) + body.count("&") * 8 and len(words.subject) <= len(subject) * 2 + 8


@pytest.mark.parametrize("piece", ["On ", "On a\n", "<", "<p", "> ", "-", "From: a\n", "[", "[a](", "&amp", "\n", "_", "*From:* ", "<!--", "<![", "schrieb "])  # fmt: skip
def test_a_hostile_mail_costs_no_more_than_its_length(piece: str) -> None:
    import sys

    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    size = 16_000 // len(piece)
    sys.setprofile(count)
    try:
        own_words(piece * 50, piece * size)
    finally:
        sys.setprofile(None)
    assert calls < 60 * 16_000


@pytest.mark.parametrize("piece", ["<p", "<", "<!--", "<![", "</", "<a ", "<a b=", "<a b='", '<a b="', "<a\n", "<a x ", "<style>", "&#", "<p>", "<!", "<?", "<div id="])  # fmt: skip
def test_hostile_markup_costs_no_more_than_its_length(piece: str) -> None:
    """Minutes for `html.parser` alone, which fails at some of it: a second is far from both."""
    begun = time.process_time()
    html_to_text("<p>It fails.</p>" + piece * (128_000 // len(piece)))
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param("<p>It fails<![CDATA[ again", "It fails<![CDATA[ again", id="a section that does not end"),
        pytest.param("<p>It fails <![endif]--> again</p>", "It fails  again", id="what Outlook leaves"),
        pytest.param("<!--[if mso]><p>never seen</p><![endif]--><p>It fails</p>", "It fails", id="a conditional comment"),
        pytest.param("<p>It fails <!-- and", "It fails", id="a comment that does not end"),
        pytest.param("<p>5 < 7 and it fails</p>", "5 < 7 and it fails", id="a sign that is no tag"),
        pytest.param("<p>It fails<br/>again</p>", "It fails\nagain", id="a tag that ends itself"),
        pytest.param("<STYLE type='text/css'>p > a {}</STYLE><P CLASS=x>It fails</P>", "It fails", id="upper case"),
        pytest.param("<p>It fails</p><div class='gmail_quote'><p>no</p></div>", "It fails", id="a quoted mail by its class"),
        pytest.param("<p>It fails</p><div dir=ltr id=divRplyFwdMsg>no</div>", "It fails", id="a quoted mail by its id"),
    ],
)  # fmt: skip
def test_the_visible_text_of_markup(html: str, text: str) -> None:
    assert html_to_text(html).strip() == text


@given(st.text(max_size=200) | st.text(alphabet="<>!-[]/ap =\"'&;#x\n", max_size=200))
def test_any_markup_has_a_text(html: str) -> None:
    html_to_text(html)
