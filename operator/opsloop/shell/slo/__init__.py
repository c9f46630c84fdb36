"""Reading the SLIs of all Releases from Prometheus."""
