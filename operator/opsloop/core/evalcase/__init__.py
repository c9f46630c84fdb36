"""Decisions on an EvalCase: expectations, gating, capture from a ticket, and the proof in quarantine."""
