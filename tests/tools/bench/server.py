"""A real web server with PokeAPI's bodies: nginx over TLS, with the round trip of a network."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from tests.tools.pokeapi.bodies import generated, list_entry, pokemon, recorded

ROUND_TRIP = 0.030  # seconds
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type "application/json; charset=utf-8";
  gunzip on;
  gzip_static always;
  keepalive_timeout 600;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=1024;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    root {folder}/www;
    rewrite ^(/api/v2/pokemon/[0-9]+)/$ $1 last;
    location ~ ^/api/v2/pokemon/?$ {{
      gzip_static off;
      gzip on;
      gzip_types *;
      try_files /index.json =404;
    }}
  }}
}}
"""


@contextmanager
def nginx(bodies: Path | None, core: int) -> Iterator[dict[str, str]]:
    """Serve on one core until the block ends, and yield the environment variables for a client."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        _write_site(folder / "www", bodies)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        certificate = authority.issue_cert("localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        far = _free_port()
        near = _free_port()
        configuration = CONFIGURATION.format(folder=folder, port=far)
        (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
        stack.enter_context(_running(far, core, ["nginx", "-c", str(folder / "nginx.conf")]))
        relay = [sys.executable, "-m", "tests.tools.relay", str(near), str(far), str(ROUND_TRIP)]
        stack.enter_context(_running(near, core, relay))
        yield {
            "POKEAPI_URL": f"https://localhost:{near}/api/v2",
            "SSL_CERT_FILE": str(folder / "ca.pem"),
        }


def _write_site(www: Path, bodies: Path | None) -> None:
    body = recorded(bodies) if bodies else generated
    folder = www / "api" / "v2" / "pokemon"
    folder.mkdir(parents=True)
    for one in pokemon().values():
        (folder / f"{one.number}.gz").write_bytes(body(one))
    results = list(map(list_entry, pokemon().values()))
    index = json.dumps({"count": len(results), "results": results})
    (www / "index.json").write_text(index, encoding="utf-8")


@contextmanager
def _running(port: int, core: int, command: Sequence[str]) -> Iterator[None]:
    with subprocess.Popen(["taskset", "--cpu-list", str(core), *command]) as process:
        try:
            _wait_for(port)
            yield
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)
    raise TimeoutError(port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
