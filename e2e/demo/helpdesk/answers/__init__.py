"""`answers`: picks the article that answers a question. How it picks is the engine, and differs by version."""
