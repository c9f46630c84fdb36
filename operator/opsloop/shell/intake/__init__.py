"""From a stored alert or ticket to an Incident's ledger."""
