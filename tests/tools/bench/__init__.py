"""The benchmark: the function and its peers, over TLS and with the round trip of a network."""
