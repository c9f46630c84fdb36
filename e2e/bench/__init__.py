"""The benchmark: how fast one shift was, what it cost the API server, and what the operator used."""
