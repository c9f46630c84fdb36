"""Command line of opsloop: the gate, readers of stored records, and the operator itself."""
