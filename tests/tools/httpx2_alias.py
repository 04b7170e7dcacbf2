"""A pytest plugin that runs the tests with httpx2 instead of httpx: `make test-httpx2`.

httpx2 continues httpx, which has had no stable release since December 2024. As long as this plugin
finds no difference, the project can move by changing only its imports.

Programs that tests run in other processes still use httpx.
"""

import httpx2

httpx2.alias_httpx()
