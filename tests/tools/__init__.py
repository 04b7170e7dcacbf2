"""Programs for developers, apart from the tests; tests/README.md says what each does."""

import os
import signal
import sys

LOCAL = "127.0.0.1,localhost"

if sys.argv[0] == "-m":  # as long as Python looks for the program that it is to run
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once, without a traceback

# What runs on this machine, such as the local PokeAPI, is never behind the shell's proxy.
_direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
if _direct != "*":  # which is all, and stands alone
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"{_direct},{LOCAL}" if _direct else LOCAL
