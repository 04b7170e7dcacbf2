"""A browser driven for real: Debian's Chromium through its chromedriver, by W3C WebDriver, which is JSON over HTTP."""

import base64
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import httpx

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, from the standard
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


class Browser:
    """One window. Elements are found by CSS selectors."""

    def __init__(self, driver: httpx.Client) -> None:
        self._driver = driver

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._driver.request(method, path, json={} if body is None and method == "POST" else body).json()
        if isinstance(answer["value"], dict) and "error" in answer["value"]:
            raise AssertionError(answer["value"]["message"])
        return answer["value"]

    def open(self, url: str) -> None:
        self._call("POST", "url", {"url": url})

    def find(self, selector: str) -> str:
        return str(self._call("POST", "element", {"using": "css selector", "value": selector})[ELEMENT])

    def text(self, selector: str) -> str:
        return str(self._call("GET", f"element/{self.find(selector)}/text"))

    def click(self, selector: str) -> None:
        self._call("POST", f"element/{self.find(selector)}/click")

    def follow(self, selector: str) -> None:
        """Click what leads to another page, and wait for that: the driver's own answer may come before it."""
        self.run("window.left = true")
        self.click(selector)
        late = monotonic() + 30
        while self.run("return window.left || document.readyState != 'complete'"):
            assert monotonic() < late, f"{selector} led nowhere"

    def fill(self, selector: str, text: str) -> None:
        self._call("POST", f"element/{self.find(selector)}/clear")
        self._call("POST", f"element/{self.find(selector)}/value", {"text": text})

    def run(self, script: str) -> Any:
        """Give what a script in the page returns."""
        return self._call("POST", "execute/sync", {"script": script, "args": []})

    def console(self) -> list[str]:
        """Give what the console has got since it was last asked."""
        return [entry["message"] for entry in self._call("POST", "se/log", {"type": "browser"})]

    def resize(self, width: int, height: int, scheme: str) -> None:
        """Show the page as a screen of that size in points, and of that colour scheme, would."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def shoot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "screenshot")))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._call("POST", "goog/cdp/execute", {"cmd": command, "params": parameters})


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run one, with a profile of its own, until the block ends."""
    with (
        TemporaryDirectory() as profile,
        subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True) as driver,
    ):
        assert driver.stdout is not None
        try:
            port = next(
                line.split()[-1].rstrip(".") for line in driver.stdout if "on port" in line and "success" in line
            )
            options = {"args": [*QUIET, f"--user-data-dir={profile}"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            sessions = f"http://127.0.0.1:{port}/session"
            started = httpx.post(sessions, json={"capabilities": {"alwaysMatch": wanted}}, timeout=60).json()["value"]
            with httpx.Client(base_url=f"{sessions}/{started['sessionId']}", timeout=60) as client:
                yield Browser(client)
                client.delete("")
        finally:
            driver.terminate()
