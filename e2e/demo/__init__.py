"""The service that breaks, its monitoring, and the people who complain about it."""
