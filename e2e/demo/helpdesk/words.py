"""Text made comparable: the one place that says when two words are the same word."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[a-z0-9]+")
_FILLER = """
    a an and any are as at by can do does for from get give have how i in is it its me my no not of on or our
    so that the there they thing this to us was we what when where which will with you your
"""
_SAYS_NOTHING = frozenset(_FILLER.split())


def fold(text: str) -> frozenset[str]:
    """The words of a text in a comparable form: no case, no typographic variants, no plural, no filler."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    singular = (word[:-1] if len(word) > 3 and word.endswith("s") else word for word in _WORD.findall(plain))
    return frozenset(word for word in singular if word not in _SAYS_NOTHING)
