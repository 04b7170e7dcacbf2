"""A headless Chromium, for the tests of the pages."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

MISSING = "the browser tests need Chromium: `apt-get install chromium`, or `.venv/bin/playwright install chromium`"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser, and leave no process of it behind, however the block ends."""
    before = _orphans()
    try:
        with sync_playwright() as playwright, _launch(playwright) as browser:
            yield browser
    finally:
        # Its helpers end a moment after it, and a container's init may take a second to notice.
        late = monotonic() + 10
        while left := _orphans() - before:
            assert monotonic() < late, f"left behind: processes {left}"
            sleep(0.05)


def _launch(playwright: Playwright) -> Browser:
    try:
        return playwright.chromium.launch(executable_path=shutil.which("chromium"))
    except Error as error:
        why, *_ = str(error).splitlines()
        pytest.exit(f"{MISSING} ({why})", returncode=1)


def _orphans() -> set[str]:
    """Return the ids of Chromium's processes whose parent has ended."""
    found = subprocess.run(["pgrep", "-P", "1", "chrom"], stdout=subprocess.PIPE, text=True, check=False)
    return set(found.stdout.split())
