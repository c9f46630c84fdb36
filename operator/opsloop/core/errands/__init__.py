"""Jobs and webhooks of Runbooks and of checks: what a Job may be, and which addresses may be called."""
