"""The tree of a PromQL expression, and what can be wrong with one. Durations and times are milliseconds."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class QueryError(Exception):
    """Prometheus refuses the expression too."""


class Unsupported(Exception):
    """Prometheus may answer the expression; this model does not. Never to be taken for an answer of Prometheus."""

    def __init__(self, construct: str) -> None:
        super().__init__(f"the model of Prometheus does not support {construct}")
        self.construct = construct


class Dialect(Enum):
    """The modelled Prometheus: the rules that differ between its versions."""

    V2_53 = "2.53"
    V3 = "3"

    @property
    def left_open(self) -> bool:
        """A range, a subquery and the look-back leave their older end out."""
        return self is Dialect.V3


class Kind(StrEnum):
    """The type of an expression, as Prometheus' messages call it."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Number:
    """A number literal."""

    value: float
    kind = Kind.SCALAR


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal, unquoted."""

    value: str
    kind = Kind.STRING


@dataclass(frozen=True, slots=True)
class Matcher:
    """`name op value` in a selector; `op` is one of = != =~ !~."""

    name: str
    op: str
    value: str


At = int | str | None
"""The `@` modifier: a time, "start", "end", or none."""


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector selector."""

    matchers: tuple[Matcher, ...]
    offset: int = 0
    at: At = None
    kind = Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector selector; offset and `@` are those of the selector."""

    selector: Selector
    width: int
    kind = Kind.MATRIX


@dataclass(frozen=True, slots=True)
class Subquery:
    """`inner[width:step]`; without a step it is the server's default."""

    inner: "Node"
    width: int
    step: int | None
    offset: int = 0
    at: At = None
    kind = Kind.MATRIX


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    name: str
    args: tuple["Node", ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`op by (labels) (inner)`; without a clause it is `by ()`."""

    op: str
    inner: "Node"
    labels: tuple[str, ...] = ()
    without: bool = False
    kind = Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Negation:
    """Unary minus."""

    inner: "Node"
    kind: Kind


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of a binary operator find each other. `group` is "", "left" or "right"."""

    labels: tuple[str, ...] = ()
    on: bool = False
    group: str = ""
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operator."""

    op: str
    left: "Node"
    right: "Node"
    matching: Matching
    bool_: bool
    kind: Kind


@dataclass(frozen=True, slots=True)
class Parens:
    """A parenthesised expression: a range or an offset does not reach into it."""

    inner: "Node"

    @property
    def kind(self) -> Kind:
        """The type of what it holds."""
        return self.inner.kind


Node = Number | Text | Selector | Range | Subquery | Call | Aggregate | Negation | Binary | Parens


def bare(node: Node) -> Node:
    """The node without parentheses around it."""
    while isinstance(node, Parens):
        node = node.inner
    return node
