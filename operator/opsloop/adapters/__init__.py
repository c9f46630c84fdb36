"""The outside world, one library each, no arithmetic."""
