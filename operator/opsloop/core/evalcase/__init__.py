"""Decisions on an EvalCase: expectation, gating, capture from a ticket, and the proof in quarantined pods."""
