"""Experiments on the real cluster, kept runnable: each prints a table and asserts what opsloop relies on.

`python -m e2e.experiments.coownership`, `… .orphans`, `… .share`. They need a running cluster (`make cluster images`),
use namespaces `exp-…` of their own, and remove them. What was found is in docs/decisions/.
"""
