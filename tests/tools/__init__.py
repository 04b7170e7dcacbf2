"""Programs for developers. tests/README.md says what each of them does."""

import os
import signal
import sys
from pathlib import Path

LOCAL = "127.0.0.1,localhost"

if sys.argv[0] == "-m":  # while Python is still looking for the program to run
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once, without a traceback
    sys.path.insert(0, str(Path(__file__).parents[2] / "src"))  # it needs no PYTHONPATH

# Servers on this machine, such as the local PokeAPI, are never reached through the shell's proxy.
_direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
if _direct != "*":  # which means every host, and cannot be part of a list
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"{_direct},{LOCAL}" if _direct else LOCAL
