"""Carries decisions out through ports; knows no library."""
