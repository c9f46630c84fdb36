"""Pods of last-good that are kept warm after a promotion: which, since when, until when, and when they take traffic.

Lowering before raising: a decided number of pods in traffic is recorded before a gate is opened, and what is beyond it is
closed at every look. Nothing here writes the user's Deployment; it says only that the template waits for these pods.
"""
