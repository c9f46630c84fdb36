"""The words of PromQL: operators, aggregations, functions with their types, and those that the model leaves out."""

import re
from typing import Final

from .syntax import Kind

COMPARISONS: Final = frozenset(("==", "!=", "<", ">", "<=", ">="))
SETS: Final = frozenset(("and", "or", "unless"))
AGGREGATES: Final = frozenset(("sum", "avg", "count", "min", "max", "group"))
OTHER_AGGREGATES: Final = frozenset(
    ("stddev", "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio")
)
KEYWORDS: Final = frozenset(
    (*AGGREGATES, *OTHER_AGGREGATES, *SETS, "atan2", "offset", "by", "without", "on", "ignoring", "group_left")
) | {"group_right", "bool", "start", "end"}
NO_METRIC: Final = frozenset(("on", "ignoring", "group_left", "group_right", "bool", "atan2"))
_S, _V, _M, _X = Kind.SCALAR, Kind.VECTOR, Kind.MATRIX, Kind.STRING
FUNCTIONS: Final[dict[str, tuple[tuple[Kind, ...], int, Kind]]] = {
    **dict.fromkeys(("rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets"), ((_M,), 1, _V)),
    **{
        f"{name}_over_time": ((_M,), 1, _V)
        for name in ("sum", "avg", "min", "max", "count", "last", "present", "absent")
    },
    **dict.fromkeys(("abs", "ceil", "floor", "absent", "timestamp"), ((_V,), 1, _V)),
    **dict.fromkeys(("clamp_min", "clamp_max"), ((_V, _S), 2, _V)),
    "clamp": ((_V, _S, _S), 3, _V),
    "round": ((_V, _S), 1, _V),
    "label_replace": ((_V, _X, _X, _X, _X), 5, _V),
    "histogram_quantile": ((_S, _V), 2, _V),
    "vector": ((_S,), 1, _V),
    "scalar": ((_V,), 1, _S),
    "time": ((), 0, _S),
}
"""Function → (types of its arguments, how many of them are needed, its type)."""
OTHER_FUNCTIONS: Final = re.compile(
    "a?(?:cos|sin|tan)h?|day_of_(?:month|week|year)|days_in_month|year|month|hour|minute|deg|rad|pi|exp|sqrt|sgn|ln|log2|log10"
    "|histogram_(?:avg|count|fraction|stddev|stdvar|sum)|holt_winters|double_exponential_smoothing|predict_linear|label_join"
    "|(?:mad|quantile|stddev|stdvar|first|ts_of_(?:first|last|max|min))_over_time|sort(?:_by_label)?(?:_desc)?|info"
    "|start|end|range|step"
)
"""Functions of Prometheus that the model leaves out."""
