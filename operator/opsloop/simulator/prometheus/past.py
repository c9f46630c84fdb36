"""What the value of an expression hangs on: its time and the samples until then alone, or more."""

from . import ranges
from .labels import NAME
from .syntax import Aggregate, Binary, Call, Node, Number, Range, Selector, Subquery, Text, bare


def one_metric(node: Node) -> bool:
    """Does the range hold series of one metric only, so that dropping its name merges none?"""
    node = bare(node)
    return isinstance(node, Range) and any(m.name == NAME and m.op == "=" for m in node.selector.matchers)


def only_past(node: Node) -> bool:
    """Does its value at a time hang on the samples until then alone?"""
    node = bare(node)
    match node:
        case Selector(_, offset, at):
            return offset >= 0 and at is None
        case Range(selector):
            return only_past(selector)
        case Subquery(inner, _, _, offset, at):
            return offset >= 0 and at is None and only_past(inner)
        case Aggregate(_, inner):
            return only_past(inner)
        case Binary(_, left, right):
            return only_past(left) and only_past(right)
        case Call(name, args):
            return not _may_collide(name, args) and all(only_past(argument) for argument in args)
    return isinstance(node, Number | Text)


def _may_collide(name: str, args: tuple[Node, ...]) -> bool:
    """May two series leave the function with the same labels? Then it is refused by what other steps held."""
    if name == "label_replace":
        return not (isinstance(one := bare(args[0]), Aggregate) and not one.labels and not one.without)
    return name == "timestamp" or (name in ranges.FUNCTIONS and name != "last_over_time" and not one_metric(args[0]))
