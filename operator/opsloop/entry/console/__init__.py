"""The console: read-only pages over HTTP, for people whom the API server knows and to whom it lets these objects be read."""
