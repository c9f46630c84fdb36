"""Strings that are Markdown already, told apart from strings that only become text: in a template each prints as what it is."""

from typing import Annotated

from markdown_it import MarkdownIt
from pydantic import AfterValidator

_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


class Inline(str):
    """Inline Markdown made of escaped parts. Joined to anything else it is a plain string again, which templates escape."""

    __slots__ = ()

    def __html__(self) -> str:
        """The same as HTML; markupsafe asks for it where a template is HTML."""
        return str(_PARSER.renderInline(self))


class Block(str):
    """Markdown of several lines made of escaped parts."""

    __slots__ = ()

    def __html__(self) -> str:
        """The same as HTML."""
        return str(_PARSER.render(self))


Md = Annotated[str, AfterValidator(Inline)]
MdBlock = Annotated[str, AfterValidator(Block)]
