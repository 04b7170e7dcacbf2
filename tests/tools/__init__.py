"""Programs for developers, apart from the tests; tests/README.md says what each does."""

import signal
import sys

if sys.argv[0] == "-m":  # as long as Python looks for the program that it is to run
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once, without a traceback
