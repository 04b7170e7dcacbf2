"""The benchmark: the function and its peers, over TLS and a network's round trip."""
