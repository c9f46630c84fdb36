"""A search that answers each single request rightly and may fail under load."""
