"""Decisions on a Release: which revision is live, which one is the target, and how the canary moves."""

from opsloop.api.release import ReleaseStatus
from opsloop.core.decision import DecisionBuilder
from opsloop.core.facts import ReleaseFacts

ReleaseBuilder = DecisionBuilder[ReleaseFacts, ReleaseStatus]
