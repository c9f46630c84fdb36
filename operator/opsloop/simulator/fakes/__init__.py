"""The ports of `opsloop.shell.ports` in memory. The contract tests hold them to the real things."""
