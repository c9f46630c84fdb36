"""Text of unknown origin without the characters that act on a terminal instead of standing for something.

Control characters (C0, C1: escape sequences begin with them) and format characters (they turn the direction of writing, or
are not seen at all) become one mark. What is left means itself wherever it is printed.
"""

import re

_ACTING = (
    "\x00-\x1f\x7f-\x9f"  # C0, delete, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # format and separators
    "\ud800-\udfff"  # halves of surrogate pairs, which cannot be encoded
    "\U000e0000-\U000e007f"  # tags
)
_BLANK = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
_IN_A_LINE = re.compile(f"[{_ACTING}]+")
_IN_PROSE = re.compile(f"(?:(?![\t\n])[{_ACTING}])+")
SEEN = "\ufffd"


def line(text: str) -> str:
    """One line."""
    return text if text.isascii() and text.isprintable() else _IN_A_LINE.sub(SEEN, _BLANK.sub(" ", text))


def prose(text: str) -> str:
    """Several lines; tabs stay as well."""
    return text if text.isascii() and text.isprintable() else _IN_PROSE.sub(SEEN, text.replace("\r\n", "\n"))
