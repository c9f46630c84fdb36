"""Ways in: the operator process, the intake, the command line."""
