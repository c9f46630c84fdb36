"""Running EvalCases and proofs in the background."""
