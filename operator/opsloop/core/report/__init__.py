"""What happened over weeks, from what is stored: incidents, changes and budgets, by Release and added up. No I/O, no person."""
