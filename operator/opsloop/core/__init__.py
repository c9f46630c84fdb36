"""Decisions. Pure: no I/O, no clock, no logging, no asyncio; `now` is an argument."""
