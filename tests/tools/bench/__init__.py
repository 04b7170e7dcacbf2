"""Measures the function against what else one could write, over TLS and a network's round trip: `make bench`."""
