"""A canary under several objectives: rejected for one, with the accepted share of false rejects kept over all of them.

    E_t = (1/k)·Σ_i E_i,t        reject at E_t ≥ 1/α

of k objectives, each with an e-process of its own (`core.statistics.evidence`). The mean of e-processes is one, however
they depend on each other, and so Ville's inequality bounds the false rejects by α as for a single objective; one that is
not read counts 0, which only lowers E. Each objective's own test is given α/k: where E_i reached k/α at any time, so had
the mean reached 1/α. What the mean adds is a fault that several objectives show a little.

An objective in which the canary's own ratio is not surely above what is ignored adds nothing.
"""

from collections.abc import Mapping

from opsloop.core.statistics.evidence import Evidence


def rejected_for(evidence: Mapping[str, Evidence], number: int, alpha: float) -> str:
    """The objective that says most against the canary, where it is rejected; "" where it is not.

    `evidence`: by name of the objective, of those that were read, each with α/`number`; `number` of objectives in all.
    """
    counted = {name: one.value for name, one in evidence.items() if one.largest_ignored >= 1 / alpha}
    alone = {name: one.largest for name, one in evidence.items() if one.rejects}
    if alone:
        return max(alone, key=lambda name: alone[name])
    together = sum(counted.values()) / number >= 1 / alpha
    return max(counted, key=lambda name: counted[name]) if together else ""
