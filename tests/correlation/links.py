"""`python -m tests.correlation.links [--seed N] [--storms N]`: how well tickets are linked on storms of other faults.

The Incidents are those that the operator's own grouping finds, so that a ticket can be linked wrongly because the alerts were.
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from opsloop.core.correlation.grouping import Grouping
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.onsets import Rules
from opsloop.core.correlation.ticket_candidates import of_group
from opsloop.core.reported import Candidate, Triage
from opsloop.core.tickets.linking import link
from opsloop.core.tickets.triage import triage
from tests.correlation.scores import found
from tests.correlation.storms import NOISE
from tests.correlation.tickets import Case, Complaint, cases


@dataclass(slots=True)
class Linking:
    """Counts over many tickets."""

    linked: int = 0  # that were linked, and of these rightly
    right: int = 0
    due: int = 0  # that belong to an Incident, and of these in storms of several
    due_several: int = 0
    right_several: int = 0
    free: int = 0  # that belong to none, and of these linked to none
    left: int = 0
    kinds: Counter[tuple[str, bool]] = field(default_factory=Counter)
    wrong: list[tuple[Complaint, Triage, str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        shares = [
            (self.right, self.linked),
            (self.right, self.due),
            (self.right_several, self.due_several),
            (self.left, self.free),
        ]
        return f"{self.due + self.free:7d}  " + "  ".join(f"{a / max(1, b):9.3f}" for a, b in shares)

    def by_kind(self) -> str:
        """Share of right answers for each kind of ticket."""
        names = sorted({name for name, _ in self.kinds})
        return ", ".join(f"{n} {self.kinds[n, True] / (self.kinds[n, True] + self.kinds[n, False]):.2f}" for n in names)


HEAD = "tickets  precision     recall    several  left alone"


def candidates_of(case: Case, grouping: Grouping) -> dict[str, tuple[Candidate, str]]:
    """Group → the candidate, and the Incident that most of its alerts are of."""
    members: dict[str, Counter[str]] = {}
    candidates = {}
    for number, group in enumerate(grouping.groups):
        name = f"g{number}"
        candidates[name] = replace(of_group(name, group, case.storm.graph), known_as=case.known_as)
        for fingerprint, _ in group.keys:
            if isinstance(answer := case.storm.truth[fingerprint], str):
                members.setdefault(name, Counter())[answer] += 1
    plurality = {n: max(sorted(c), key=c.__getitem__) for n, c in members.items()}
    return {name: (candidate, plurality.get(name, NOISE)) for name, candidate in candidates.items()}


def scored(cases: Iterable[Case], judged: bool = True) -> Linking:
    """How the tickets of these cases are linked. `judged` False: with the category that a person would give, so that only links count."""
    total = Linking()
    for case in cases:
        grouping = found(case.storm, Method(), Rules())
        groups = candidates_of(case, grouping)
        for complaint in case.complaints:
            judgement = triage(complaint.ticket)
            if not judged and complaint.expected:
                judgement = replace(judgement, category=complaint.expected, severity="sev2")
            match = link(complaint.ticket, judgement, [candidate for candidate, _ in groups.values()])
            home = match.candidate.incident if match else ""
            _count(total, complaint, judgement, groups[home][1] if home else "", len(case.storm.accept) > 1)
            if total.wrong and total.wrong[-1][0] is complaint and match:
                total.wrong[-1] = (*total.wrong[-1][:3], "; ".join(f"{e.name} {e.value}" for e in match.evidence))
    return total


def _count(total: Linking, complaint: Complaint, judgement: Triage, answer: str, several: bool) -> None:
    right = answer in complaint.about if complaint.about else not answer
    total.linked += bool(answer)
    total.right += bool(answer) and right
    total.due += bool(complaint.about)
    total.due_several += bool(complaint.about) and several
    total.right_several += bool(complaint.about) and several and right
    total.free += not complaint.about
    total.left += not complaint.about and right
    total.kinds[complaint.kind, right] += 1
    if not right:
        total.wrong.append((complaint, judgement, answer, ""))


def main() -> None:
    """Prints the table, and with --wrong what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.correlation.links")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--storms", type=int, default=60, help="of twelve tickets each; default: %(default)s")
    parser.add_argument("--wrong", action="store_true", help="also show each ticket that was linked wrongly")
    options = parser.parse_args()
    made = list(cases(options.seed, options.storms))
    print(HEAD)
    for judged in (True, False):
        total = scored(made, judged)
        print(total, "as judged" if judged else "with the category that a person would give")
        print(" " * 9 + total.by_kind())
        for complaint, judgement, answer, why in total.wrong if options.wrong else ():
            print(
                f"  {complaint.kind} {sorted(complaint.about)} -> {answer or '-'} [{judgement.category} {judgement.severity}] {complaint.ticket.subject!r} {complaint.ticket.body[:110]!r} {why}"
            )


if __name__ == "__main__":
    main()
