"""The stories: whole shifts on a real cluster, each in namespaces of its own, side by side."""
