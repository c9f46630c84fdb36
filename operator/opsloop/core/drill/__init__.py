"""The drill: breaks one Release on purpose and follows its shift to the end. `docs/drill.md` is its page."""
