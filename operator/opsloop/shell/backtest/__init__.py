"""Reads the past of an SLI from Prometheus with the code that the operator reads the present with."""
