"""Two versions that were asked the same: is one worse, or may it be chance; and what so many questions cannot show."""

from math import comb


def mcnemar(worse: int, better: int) -> float:
    """McNemar's exact test, one-sided: how likely at least `worse` pairs of `worse + better` would speak against the version
    if each pair that differs were a coin toss. 1 where no pair differs."""
    pairs = worse + better
    return float(sum(comb(pairs, k) for k in range(worse, pairs + 1)) / 2**pairs)


def missed(questions: int) -> float:
    """The largest share (0 to 1) of all that users ask which may be answered wrongly while `questions` of it, picked blindly,
    were all answered right, with 95 %: 1 − 0.05^(1/n), about 3/n (the rule of three)."""
    return 1.0 - 0.05 ** (1 / questions) if questions else 1.0
