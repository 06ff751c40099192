"""Nothing but the egress guard opens a connection for a tenant; who opens another is named here with the reason."""

import ast

import pytest

from tests.architecture.tree import PACKAGES, imports, parsed, python_files

THE_GUARD = "the guard"
OPERATORS_DATABASE = "the operator's PostgreSQL"
OPERATORS_PREFECT = "the operator's Prefect"

OPENERS = {
    "agents/egress/guard.py": f"{THE_GUARD}: looks names up",
    "agents/egress/transport.py": f"{THE_GUARD}: connects to the address that was permitted",
    "agents/data/remote/folders.py": f"{THE_GUARD}: the stores of objects.py, which know its tunnel alone",
    "agents/data/remote/objects.py": f"{THE_GUARD}: its tunnel, which the library is told to use",
    "agents/data/remote/postgres.py": f"{THE_GUARD}: the library is told an address that was permitted",
    "agents/data/remote/sqlite.py": f"{THE_GUARD} has no part in it: a file that was found under the data roots",
    "agents/llm/openai_chat.py": f"{THE_GUARD}: openai's client over its transport",
    "agents/code/docker/backend.py": "the operator's container engine",
    "agents/code/docker/engine.py": "the operator's container engine",
    "agents/code/guest/network.py": "listens on the loopback of a run's own network; the other side is the guard's",
    "agents/egress/tunnel.py": f"{THE_GUARD}: connects for libraries that can be told to use a proxy",
    "platform_api/db/engine.py": OPERATORS_DATABASE,
    "platform_api/db/cluster.py": OPERATORS_DATABASE,
    "platform_api/resources/executions/claims.py": OPERATORS_DATABASE,
    "platform_api/resources/streams/hub.py": OPERATORS_DATABASE,
    "deployments/worker/wake.py": OPERATORS_DATABASE,
    "platform_api/kit/rate_limiter.py": "the operator's Redis",
    "platform_api/kit/smtp.py": "the operator's SMTP server",
    "platform_api/kit/s3_results.py": "the operator's result store",
    "flows/orchestrator.py": OPERATORS_PREFECT,
    "flows/runtime/artifacts.py": OPERATORS_PREFECT,
    "flows/runtime/subflow.py": OPERATORS_PREFECT,
    "flows/runtime/suspension.py": OPERATORS_PREFECT,
    "flows/runtime/task_runs.py": OPERATORS_PREFECT,
    "deployments/importing/platform.py": "the command line speaks to the platform's own API",
    "deployments/demo/client.py": "the demo speaks to the platform's own API",
    "deployments/local/ports.py": "listens: the stack's own ports",
    "deployments/local/probes.py": "asks whether the stack's own services answer, on loopback",
    "deployments/commands/serving.py": "listens: takes over the socket that the stack has opened",
    "deployments/worker/child.py": "the pair of sockets between a worker and its child",
    "deployments/worker/processes.py": "the same",
    "deployments/worker/fork_server.py": "the pair of sockets between a worker and what forks its children",
    "agents/code/canaries.py": "listens: what a sandboxed program must not reach",
    "agents/code/guest/zygote.py": "the pair of sockets between a worker and what starts its programs",
}
"""Path → why it opens a connection."""

POLARS_READERS = {
    "agents/code/datasets.py": "a file that a program has left",
    "agents/data/execution.py": "a file that it has staged itself",
    "agents/data/reading.py": "kept datasets",
    "agents/data/remote/postgres.py": "a file that a run has staged itself",
    "agents/data/remote/sqlite.py": "the same",
    "agents/data/run.py": "a file that it has staged itself",
    "agents/data/scanning.py": "files found under the data roots or fetched; object stores, through the guard's tunnel",
    "agents/data/writing.py": "a file that it has staged itself",
    "flows/runtime/items.py": "a kept dataset",
    "platform_api/resources/artifacts/conversion.py": "a kept artifact",
}
"""Path → what it lets Polars read, whose readers connect by themselves when they are given a URL."""

LIBRARIES = frozenset(
    """
    adbc_driver_manager aiobotocore aioftp aiohttp aiosmtplib aiosqlite anthropic asyncpg asyncssh boto3 botocore
    connectorx deltalake docker elasticsearch fsspec ftplib gcsfs grpc http.client httplib2 imaplib kombu ldap3
    mysql nntplib obstore oracledb paramiko pika poplib psycopg2 pycurl pymongo pymysql pyodbc redis requests s3fs
    smtplib socketserver socks sqlite3 telnetlib tornado trio urllib.request urllib3 websocket websockets xmlrpc zmq
    """.split()  # noqa: SIM905 - a list of that many quoted words is hard to read
)
"""Importing one of these counts."""

CALLS = frozenset(
    """
    AnyIOBackend AsyncBaseTransport AsyncClient AsyncConnectionPool AsyncHTTPProxy AsyncHTTPTransport AsyncOpenAI
    AutoBackend Client ConnectionPool HTTPTransport RedisStorage connect_ex connect_tcp connect_unix_socket
    create_async_engine create_connection create_datagram_endpoint create_unix_connection get_client getaddrinfo
    gethostbyaddr gethostbyname gethostbyname_ex open_connection open_unix_connection read_database
    read_database_uri sock_connect storage_from_string urlopen urlretrieve
    """.split()  # noqa: SIM905 - a list of that many quoted words is hard to read
)
"""Calling one of these counts, whatever it is called on."""

FUNCTIONS = frozenset(name for name in CALLS if name.islower())
"""Naming one of these counts as well: it may be called by another."""

DOTTED_CALLS = frozenset(
    ["socket.socket", "psycopg.connect", "psycopg.AsyncConnection.connect", "psycopg.Connection.connect"]
)
VERBS = frozenset(["get", "post", "put", "patch", "delete", "head", "options", "request", "stream"])
HTTP_LIBRARIES = frozenset(["httpx", "httpx2", "httpcore", "httpcore2"])


def doors(tree: ast.AST) -> set[str]:
    """What in a file could open a connection."""
    imported = {name for _, name in imports(tree) if any(_is_in(name, library) for library in LIBRARIES)}
    called = {_dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    named = {_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in FUNCTIONS}
    return imported | named | {name for name in called if _opens(name)}


def _dotted(name: ast.expr) -> str:
    """`a.b.c`, or as much of its end as is written in names."""
    if isinstance(name, ast.Attribute):
        return f"{_dotted(name.value)}.{name.attr}"
    return name.id if isinstance(name, ast.Name) else ""


def _is_in(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def _opens(called: str) -> bool:
    owner, _, verb = called.rpartition(".")
    return verb in CALLS or called in DOTTED_CALLS or (owner in HTTP_LIBRARIES and verb in VERBS)


def test_connections_are_opened_where_it_is_listed_and_nowhere_else() -> None:
    found = {str(path): doors(parsed(path)) for path in python_files(*PACKAGES, "migrations")}
    assert {path: names for path, names in found.items() if names and path not in OPENERS} == {}
    assert [path for path in OPENERS if not found.get(path)] == []
    assert all(OPENERS.values())


def reads_with_polars(tree: ast.AST) -> bool:
    """Whether a reader of Polars is named."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr.startswith(("scan_", "read_"))
        and isinstance(node.value, ast.Name)
        and node.value.id in ("pl", "polars")
        for node in ast.walk(tree)
    )


def test_polars_reads_where_it_is_listed_and_nowhere_else() -> None:
    assert {str(path) for path in python_files(*PACKAGES) if reads_with_polars(parsed(path))} == set(POLARS_READERS)
    assert reads_with_polars(ast.parse("pl.scan_parquet('http://a')"))


def test_agents_open_connections_through_the_guard_alone() -> None:
    """The sandbox's are to what keeps its programs: they themselves have no network."""
    others = {path: why for path, why in OPENERS.items() if path.startswith("agents/") and "/code/" not in path}
    assert all(why.startswith(THE_GUARD) for why in others.values())


@pytest.mark.parametrize(
    "code",
    [
        "import requests",
        "import urllib.request",
        "from http.client import HTTPConnection",
        "from obstore.store import S3Store",
        "httpx.get('http://a')",
        "async with httpx2.AsyncClient() as client: ...",
        "from httpx2 import AsyncClient\nAsyncClient()",
        "await asyncio.open_connection('a', 80)",
        "await loop.create_connection(Protocol, 'a', 80)",
        "socket.create_connection(('a', 80))",
        "socket.socket().connect(('a', 80))",
        "run_in_executor(None, socket.getaddrinfo, 'a', 80)",
        "await psycopg.AsyncConnection.connect('postgresql://a')",
        "pl.read_database_uri('select 1', 'postgresql://a')",
    ],
)
def test_every_way_of_opening_a_connection_is_noticed(code: str) -> None:
    assert doors(ast.parse(code))


@pytest.mark.parametrize(
    "code", ["import httpx2\nhttpx2.URL('a')", "from urllib.parse import quote", "import psycopg", "settings.get('a')"]
)
def test_what_opens_none_is_not_taken_for_it(code: str) -> None:
    assert not doors(ast.parse(code))
