"""A headless Chromium, for the tests of the pages; as a program, it checks that there is one."""

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
    """Start a browser and end it; where that fails, print one line instead of pytest's banner."""
    try:
        with chromium():
            pass
    except pytest.exit.Exception as ended:
        sys.exit(ended.msg)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser, and leave no process of it behind, however the block ends."""
    before = _orphans()
    try:
        with sync_playwright() as playwright, launch(playwright.chromium) as browser:
            yield browser
    finally:
        _wait_for_helpers(before)


def launch(browser_type: BrowserType, *arguments: str) -> Browser:
    """Return a browser, started with these arguments of the command line."""
    program = shutil.which("chromium")
    try:
        return browser_type.launch(executable_path=program, args=arguments)
    except Error as error:
        reason, *_ = str(error).splitlines()
        pytest.exit(f"the browser tests need Chromium: {REMEDY} ({reason})", returncode=1)


def _wait_for_helpers(before: set[str]) -> None:
    """Wait until only the orphans from before are left.

    A browser's helpers end a moment after it, and a container's init may take a second to notice.
    """
    deadline = monotonic() + 10
    while True:
        left = _orphans() - before
        if not left:
            return
        assert monotonic() < deadline, f"left behind: processes {left}"
        sleep(0.05)


def _orphans() -> set[str]:
    """Return the ids of Chromium's processes whose parent has ended."""
    command = ["pgrep", "-P", "1", "chrom"]
    try:
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        pytest.exit("the browser tests need pgrep: `apt-get install procps`", returncode=1)
    return set(found.stdout.split())


if __name__ == "__main__":
    main()
