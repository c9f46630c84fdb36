"""The report of the gate: rows that are passed, failed or inconclusive, with a sentence and its evidence."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import Missing, ShiftEvidence

Verdict = Literal["passed", "failed", "inconclusive", "waived"]

PASSED, FAILED, USAGE, INCONCLUSIVE = 0, 1, 2, 3  # exit codes


@dataclass(frozen=True, slots=True)
class Fact:
    """A number or a name, with where it came from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the gate."""

    name: str
    verdict: Verdict
    sentence: str
    evidence: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class GateReport:
    """The seven rows of one Incident."""

    incident: str
    rows: tuple[Row, ...]

    def named(self, verdict: Verdict) -> tuple[str, ...]:
        """Names of the rows with this verdict."""
        return tuple(row.name for row in self.rows if row.verdict == verdict)

    @property
    def exit_code(self) -> int:
        """0 all passed that a person did not waive; 1 any failed; 3 none failed but some inconclusive, or all are waived
        (missing evidence is never a pass)."""
        if self.named("failed"):
            return FAILED
        return PASSED if self.named("passed") and not self.named("inconclusive") else INCONCLUSIVE


@dataclass(slots=True)
class Findings:
    """Collects what one row found; a failure outweighs a gap, a gap outweighs every success."""

    failures: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def fact(self, name: str, value: object, source: str) -> None:
        """Adds a piece of evidence."""
        self.facts.append(Fact(name, str(value), source))

    def require(self, holds: bool, otherwise: str) -> bool:
        """Adds the failure `otherwise` where the requirement does not hold; returns whether it holds."""
        if not holds:
            self.failures.append(otherwise)
        return holds

    def gap(self, why: str) -> None:
        """Adds evidence that is needed and missing."""
        self.gaps.append(why)

    def row(self, name: str, passed: str) -> Row:
        """The verdict; `passed` is the sentence for success."""
        if self.failures:
            return Row(name, "failed", "; ".join(self.failures), tuple(self.facts))
        if self.gaps:
            return Row(name, "inconclusive", "; ".join(dict.fromkeys(self.gaps)), tuple(self.facts))
        return Row(name, "passed", passed, tuple(self.facts))


def waived(row: Row, by: str) -> Row:
    """The row, left out on a person's word: it says what it would have been. One that passed stays passed."""
    if row.verdict == "passed":
        return row
    return replace(row, verdict="waived", sentence=f"waived by {by}; without that it is {row.verdict}: {row.sentence}")


Judge = Callable[[ShiftEvidence, Incident, Findings], str]


def judge_row(name: str, rule: Judge, evidence: ShiftEvidence) -> Row:
    """The row of one rule; without an Incident nothing passes."""
    findings = Findings()
    match evidence.incident:
        case Missing(why):
            findings.gap(why)
            sentence = ""
        case None:
            findings.require(False, f"there is no Incident in namespace {evidence.namespace}")
            sentence = ""
        case incident:
            sentence = rule(evidence, incident, findings)
    return findings.row(name, sentence)
