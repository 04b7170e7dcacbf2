"""The function as `sam build` packages it, in a container, called by the real `sam local`."""

import ipaddress
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from pokemon_names.model import STRATEGIES
from pokemon_names.views import pages
from tests.chromium import chromium
from tests.conftest import EVENTS, NAMES, REGION, ROOT, account, sample
from tests.tools.pokeapi import PokeAPI, serving
from tests.tools.pokeapi.server import bound

pytestmark = pytest.mark.sam

SAM = os.environ.get("SAM", "sam")
# This machine's, because Docker would have to emulate the other one.
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
BODIES = os.environ.get("BODIES")
DESCRIPTION = Path(pages.__file__).with_name("openapi.yaml")
SUBNET = "{{(index .IPAM.Config 0).Subnet}}"


def need(tool: str, *command: str) -> str:
    """Return what a command prints; if it fails, end the whole test run with one line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.exit(f"make test-sam needs {tool}: {error}", returncode=1)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return the environment to run SAM in."""
    need("the AWS SAM CLI", SAM, "--version")
    sam = Path(shutil.which(SAM) or SAM).resolve()
    return {
        **os.environ,
        "PATH": f"{sam.parent}:{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "TMPDIR": str(tmp_path_factory.mktemp("sam")),  # SAM leaves a lock there
    }


@pytest.fixture(scope="module")
def built(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Build the function, and return the environment to run it in."""
    need("a running Docker", "docker", "info")
    need("Python 3.14, on which the function runs", "python3.14", "-c", "")
    build = ["make", "build", f"PARAMETERS=Architecture={ARCHITECTURE}"]
    subprocess.run(build, cwd=ROOT, env=environment, check=True)
    return environment


@pytest.fixture(scope="module")
def service() -> PokeAPI:
    if BODIES:
        return PokeAPI(Path(BODIES))
    return PokeAPI()


@pytest.fixture(scope="module")
def options(service: PokeAPI) -> Iterator[list[str]]:
    """Serve the local PokeAPI on the host, and yield the options that point the function to it."""
    host = "host.docker.internal"
    if sys.platform == "linux":
        subnet = need("a running Docker", "docker", "network", "inspect", "bridge", "-f", SUBNET)
        host = str(ipaddress.ip_network(subnet)[1])
    listening = bound("0.0.0.0", 0)  # noqa: S104  containers cannot reach the loopback
    with serving(service, listening) as port:
        parameters = f"Architecture={ARCHITECTURE} PokeApiUrl=http://{host}:{port}/api/v2"
        yield ["--parameter-overrides", parameters]


@contextmanager
def running(environment: Mapping[str, str], port: int, *command: str) -> Iterator[str]:
    """Run one of SAM's servers until the block ends, and yield its URL."""
    with subprocess.Popen(
        [SAM, "local", *command, "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="")
            if "Running on" in line:
                break
        with ThreadPoolExecutor() as pool:
            pool.submit(process.stderr.read)  # SAM blocks if nobody reads its output
            yield f"http://127.0.0.1:{port}"
            process.terminate()


def invoke(built: Mapping[str, str], options: list[str], name: str) -> dict[str, Any]:
    """Invoke the function with a sample event.

    SAM prints only the reply to stdout, and exits with 0 whatever the handler did.
    """
    done = subprocess.run(
        [SAM, "local", "invoke", *options, "--event", f"events/{name}.json"],
        cwd=ROOT,
        env=built,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def test_the_template_is_valid(environment: Mapping[str, str]) -> None:
    subprocess.run([SAM, "validate", "--lint"], cwd=ROOT, env=environment, check=True)


def test_sam_init_creates_a_working_project(environment: Mapping[str, str], tmp_path: Path) -> None:
    need("git", "git", "--version")
    home = {**environment, "HOME": str(tmp_path)}  # SAM leaves its clone there

    def run(*command: str, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            command, cwd=cwd, env=home, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    repository = tmp_path / "pokemon-names"
    git = ("git", f"--git-dir={repository}", f"--work-tree={ROOT}")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run(*git, "init", "--quiet")
    run(*git, "add", "--all", cwd=ROOT)
    run(*git, *author, "commit", "--quiet", "--message=The working tree")
    run("sam", "init", "--location", f"git+file://{repository}", "--name", "mine", "--no-input")
    project = tmp_path / "mine"
    run("sam", "validate", "--lint", cwd=project)
    # Treat `run` as newer than its requirements, so that nothing is installed.
    make = ("make", "--silent", "-o", f"{sys.prefix}/run", f"VENV={sys.prefix}")
    assert run(*make, "run", "RANGE=1-3", cwd=project).startswith("bulbasaur\nivysaur\nvenusaur\n")


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("direct", range(1, 151)),
        ("direct-index", range(1, 151)),
        ("direct-one", [151]),
        ("direct-unknown-number", [1024, 1025]),
    ],
)
def test_a_direct_call_returns_the_names(
    built: Mapping[str, str], options: list[str], name: str, numbers: list[int]
) -> None:
    assert invoke(built, options, name)["names"] == [NAMES[number] for number in numbers]


def test_an_invalid_request_is_refused(built: Mapping[str, str], options: list[str]) -> None:
    reply = invoke(built, options, "direct-bad-range")
    assert reply["errorType"] == "InvalidRequest"
    assert reply["errorMessage"].startswith("range: got '1-x', allowed: ")


@pytest.mark.parametrize(
    ("name", "count"), [("sns", 1), ("eventbridge", 4), ("failure-record", 4), ("scheduler", 1351)]
)
def test_an_asynchronous_event_returns_its_reports(
    built: Mapping[str, str], options: list[str], name: str, count: int
) -> None:
    assert [report["count"] for report in invoke(built, options, name)["reports"]] == [count]


@pytest.mark.parametrize(
    ("name", "failed"), [("sqs", ["2e1424d4-f796-459a-8184-9c92662be6da"]), ("sqs-sns-wrapped", [])]
)
def test_a_batch_returns_the_messages_that_failed(
    built: Mapping[str, str], options: list[str], name: str, failed: list[str]
) -> None:
    reply = invoke(built, options, name)
    assert reply == {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def test_a_chunk_is_fetched(built: Mapping[str, str], options: list[str]) -> None:
    summary = invoke(built, options, "states-fetch")
    assert summary["complete"] is True
    assert summary["count"] == 67


@pytest.mark.parametrize("name", ["states-plan", "states-merge"])
def test_a_task_that_needs_the_bucket_is_refused_without_it(
    built: Mapping[str, str], options: list[str], name: str
) -> None:
    assert invoke(built, options, name)["errorType"] == "InvalidRequest"


@pytest.fixture(scope="module")
def api(built: Mapping[str, str], options: list[str]) -> Iterator[httpx.Client]:
    with (
        running(built, 3999, "start-api", *options) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def test_the_api_returns_names(api: httpx.Client) -> None:
    response = api.get("/pokemon", params={"range": "1-151,10001-10010"})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    numbers = [*range(1, 152), *range(10001, 10011)]
    assert response.json()["names"] == [NAMES[number] for number in numbers]


def test_the_api_returns_one_name(api: httpx.Client) -> None:
    assert api.get("/pokemon/151").json()["names"] == ["mew"]


def test_a_head_request_may_have_a_base_path(api: httpx.Client) -> None:
    response = api.head("/v1/pokemon/151")
    assert response.status_code == 200
    assert response.headers["ETag"] == api.get("/pokemon/151").headers["ETag"]
    assert response.content == b""


def test_the_api_returns_names_as_text(api: httpx.Client) -> None:
    response = api.get("/pokemon", params={"range": "1-3"}, headers={"Accept": "text/plain"})
    assert response.text == "bulbasaur\nivysaur\nvenusaur\n"


def test_the_api_returns_a_race(api: httpx.Client) -> None:
    race = api.get("/race", params={"range": "1-20"}).json()["race"]
    first_twenty = [NAMES[number] for number in range(1, 21)]
    assert [entry["strategy"] for entry in race] == list(STRATEGIES)
    assert all(entry["names"] == first_twenty for entry in race)


def test_the_api_returns_a_race_as_a_page(api: httpx.Client) -> None:
    query = {"range": "25", "strategies": ["gather", "index"]}
    response = api.get("/race", params=query, headers={"Accept": "text/html"})
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert '<li value="25">pikachu</li>' in response.text
    assert response.text.count('class="code"') == 2


def test_the_pages_work_in_a_browser(api: httpx.Client) -> None:
    console: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: console.append(message.text))
        page.goto(str(api.base_url))
        with page.expect_navigation():
            page.click("a[href^=race]")
        assert page.inner_text("ol li:nth-child(25)") == "pikachu"
        page.fill("#range", "151,25")
        page.click("input[value=sequential]")
        with page.expect_navigation():
            page.click("button")
        assert page.inner_text("ol") == "mew\npikachu"
        assert page.locator("svg .code").count() == 3
        assert console == []
        page.fill("#range", "1-x")
        with page.expect_navigation():
            page.click("button")
        message = page.inner_text("[role=alert]")
        assert message.startswith("range: got '1-x', allowed: ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/pokemon?range=1-x", 400),
        ("GET", "/pokemon/1026", 404),
        ("GET", "/pokemons", 404),
        ("POST", "/pokemon", 405),
    ],
)
def test_the_api_returns_problems(api: httpx.Client, method: str, path: str, status: int) -> None:
    response = api.request(method, path)
    assert response.status_code == response.json()["status"] == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_schemathesis_finds_no_undescribed_reply(api: httpx.Client, tmp_path: Path) -> None:
    schemathesis = str(Path(shutil.which(SAM) or SAM).absolute().with_name("schemathesis"))
    need("schemathesis next to SAM", schemathesis, "--version")
    # API Gateway itself refuses TRACE, and a schema cannot express that ranges ascend or how many
    # numbers they have.
    excluded = "unsupported_method,positive_data_acceptance"
    options = ["--exclude-checks", excluded, "--phases", "examples,coverage"]
    subprocess.run(
        [schemathesis, "run", DESCRIPTION, "--url", str(api.base_url), *options],
        cwd=tmp_path,
        check=True,
    )


def test_a_warm_container_opens_no_new_connections(
    built: Mapping[str, str], options: list[str], service: PokeAPI
) -> None:
    event = (EVENTS / "direct.json").read_bytes()
    service.delay = 0.05  # every connection opens before the first answer frees one
    reports = []
    connections = []
    with running(built, 3001, "start-lambda", *options) as url:
        function = boto3.client(
            "lambda",
            endpoint_url=url,
            region_name=REGION,
            config=Config(signature_version=UNSIGNED),
        )
        for _ in range(2):
            reply = function.invoke(FunctionName="PokemonNames", Payload=event)
            reports.append(json.loads(reply["Payload"].read()))
            connections.append(service.connections)
    names = [NAMES[number] for number in range(1, 151)]
    assert [report["names"] for report in reports] == [names, names]
    assert connections[0] == connections[1] != set()


def test_a_queues_consumer_calls_the_function_in_its_container(
    built: Mapping[str, str], options: list[str]
) -> None:
    """The queue is moto's, and the test plays the event source mapping."""
    sample_record = sample("sqs")["Records"][0]
    records = []
    with account(), running(built, 3002, "start-lambda", *options) as url:
        sqs = boto3.client("sqs")
        queue = sqs.create_queue(QueueName="requests")["QueueUrl"]
        for body in ('{"range": "1-3"}', "mew", '{"range": "151"}'):
            sqs.send_message(QueueUrl=queue, MessageBody=body)
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        for message in messages:
            fields = {"messageId": message["MessageId"], "body": message["Body"]}
            records.append({**sample_record, **fields})
        invocations = f"{url}/2015-03-31/functions/PokemonNames/invocations"
        reply = httpx.post(invocations, json={"Records": records}, timeout=60).json()
    bad = [message["MessageId"] for message in messages if message["Body"] == "mew"]
    assert [failure["itemIdentifier"] for failure in reply["batchItemFailures"]] == bad
