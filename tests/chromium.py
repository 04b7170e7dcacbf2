"""A headless Chromium for the tests of the pages. Run as a program, this checks that it starts."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
from playwright.sync_api import Browser, BrowserType, Error, sync_playwright

REMEDY = "`apt-get install chromium`, or `.venv/bin/playwright install chromium`"


def main() -> None:
    """Start and close a browser; if that fails, print one line instead of pytest's banner."""
    try:
        with chromium():
            pass
    except pytest.exit.Exception as ended:
        sys.exit(ended.msg)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser, and leave none of its processes behind, however the block ends."""
    before = _orphans()
    try:
        with sync_playwright() as playwright, launch(playwright.chromium) as browser:
            yield browser
    finally:
        _wait_for_helpers(before)


def launch(browser_type: BrowserType, *arguments: str) -> Browser:
    """Start a browser with these command-line arguments and return it."""
    program = shutil.which("chromium")
    try:
        return browser_type.launch(executable_path=program, args=arguments)
    except Error as error:
        reason, *_ = str(error).splitlines()
        pytest.exit(f"the browser tests need Chromium: {REMEDY} ({reason})", returncode=1)


def _wait_for_helpers(before: set[str]) -> None:
    """Wait until there are no other orphans than before.

    Helper processes end a moment after their browser, and a container's init may take a second to
    reap them.
    """
    deadline = monotonic() + 10
    while True:
        left = _orphans() - before
        if not left:
            return
        assert monotonic() < deadline, f"processes left behind: {left}"
        sleep(0.05)


def _orphans() -> set[str]:
    """Return the ids of Chromium processes whose parent has exited."""
    command = ["pgrep", "-P", "1", "chrom"]
    try:
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        pytest.exit("the browser tests need pgrep: `apt-get install procps`", returncode=1)
    return set(found.stdout.split())


if __name__ == "__main__":
    main()
