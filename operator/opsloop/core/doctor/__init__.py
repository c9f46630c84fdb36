"""`opsloop doctor`: is everything there that a Release needs, before it needs it? Each finding is a row. Pure."""
