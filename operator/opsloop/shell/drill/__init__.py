"""Finds out whether a drill can work, runs it, and puts live back where it breaks off."""
