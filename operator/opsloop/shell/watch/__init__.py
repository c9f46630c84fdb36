"""What the watches said last, which names a change concerns, and the queue of names."""
