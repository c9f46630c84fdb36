"""Sequential tests and what they say together: mathematics that knows nothing of the loop."""
