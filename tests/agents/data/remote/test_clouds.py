"""Google Cloud Storage and Azure, played by servers that check what they are shown as the real ones do."""

import asyncio
import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from agents.errors import AgentError, ConnectionFailed
from tests.agents.data.remote.conftest import RunRemote
from tests.agents.http_server import Server
from tests.fakes.azure_blobs import ACCOUNT, AzureBlobs, sas_token
from tests.fakes.google_storage import GoogleStorage, new_key

KEY = bytes(range(64))
FORMATS = ("t.csv", "t.parquet", "t.ndjson", "t.json", "t.ipc", "t.xlsx")


@dataclass
class Cloud:
    """A store with the containers `tables`, `open` (public) and nothing else, and who may use it."""

    scheme: str
    endpoint: str
    fake: GoogleStorage | AzureBlobs
    credentials: dict[str, str]
    wrong: dict[str, str]
    """Well-formed, of somebody else."""

    def at(self, key: str, container: str = "tables", **rest: Any) -> dict[str, Any]:
        place = {"url": f"{self.scheme}://{container}/{key}", "endpointUrl": self.endpoint}
        return {**place, "credentials": self.credentials, **rest}

    def anonymous(self, key: str, container: str) -> dict[str, Any]:
        named = {"credentials": {"accountName": ACCOUNT}} if self.scheme == "az" else {}
        return {"url": f"{self.scheme}://{container}/{key}", "endpointUrl": self.endpoint, **named}

    def put(self, key: str, frame: pl.DataFrame, container: str = "tables") -> None:
        file = io.BytesIO()
        frame.write_parquet(file)
        self.fake.blobs.containers[container][key] = file.getvalue()

    @property
    def names(self) -> list[str]:
        return sorted(self.fake.blobs.containers["tables"])


@pytest.fixture(scope="module")
def google_key() -> tuple[rsa.RSAPublicKey, str, str]:
    """The public key of an account, its key file, and one of another account."""
    public, file = new_key()
    return public, file, new_key()[1]


def google(server: Server, key: tuple[rsa.RSAPublicKey, str, str]) -> Cloud:
    public, file, other = key
    return Cloud("gs", server.url(""), GoogleStorage(public), {"serviceAccountKey": file}, {"serviceAccountKey": other})


def azure(server: Server) -> Cloud:
    account = {"accountName": ACCOUNT}
    mine, other = (base64.b64encode(key).decode() for key in (KEY, KEY[::-1]))
    return Cloud(
        "az", server.url(""), AzureBlobs(KEY), {**account, "accountKey": mine}, {**account, "accountKey": other}
    )


@pytest.fixture(params=["google", "azure", "azure with a token"])
def cloud(request: pytest.FixtureRequest, server: Server, google_key: tuple[rsa.RSAPublicKey, str, str]) -> Cloud:
    made = google(server, google_key) if request.param == "google" else azure(server)
    if request.param == "azure with a token":
        made.credentials = {"accountName": ACCOUNT, "sasToken": sas_token(KEY, "tables")}
        made.wrong = {"accountName": ACCOUNT, "sasToken": sas_token(KEY[::-1], "tables")}
    made.fake.blobs.containers |= {"tables": {}, "open": {}}
    made.fake.public.add("open")
    server.answers = [made.fake]
    return made


def written(sink: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"source": {"rows": rows}, "operations": [], "sink": sink}


async def test_every_format_is_written_and_read(run_remote: RunRemote, cloud: Cloud) -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "ü"}]
    for name in FORMATS:
        await run_remote(written(cloud.at(f"räume+a/{name}"), rows))
        found = await run_remote({"source": cloud.at(f"räume+a/{name}"), "operations": []})
        assert found.output["data"] == rows
    assert cloud.names == sorted(f"räume+a/{name}" for name in FORMATS)
    assert cloud.fake.refused == []


async def test_many_objects_are_found_by_pattern(run_remote: RunRemote, cloud: Cloud, server: Server) -> None:
    for month in range(5):
        cloud.put(f"flights/{month}/t.parquet", pl.DataFrame({"month": [month] * 1_000, "n": range(1_000)}))
    cloud.put("flights/notes.parquet.bak", pl.DataFrame({"z": [1]}))
    total = [{"op": "reduce", "aggregations": {"n": "COUNT(*)", "last": "MAX(month)"}}]
    found = await run_remote({"source": cloud.at("flights/**/*.parquet"), "operations": total})
    assert found.output["data"] == [{"n": 5_000, "last": 4}]
    assert any("marker" in each.query or "continuation-token" in each.query for each in server.received)


async def test_a_large_file_goes_in_parts(run_remote: RunRemote, cloud: Cloud, data_root: Path) -> None:
    noise = pl.DataFrame({"n": range(800_000)}).with_columns(noise=pl.col("n").hash())
    await asyncio.to_thread(noise.write_parquet, data_root / "noise.parquet")
    await run_remote({"source": {"path": "noise.parquet"}, "operations": [], "sink": cloud.at("noise.parquet")})
    sent = cloud.fake.blobs.containers["tables"]["noise.parquet"]
    assert len(sent) > 5 * 2**20
    assert pl.read_parquet(sent)["noise"].equals(noise["noise"])
    assert cloud.fake.blobs.blocks == {}


async def test_a_folder_comes_and_goes_as_one(run_remote: RunRemote, cloud: Cloud) -> None:
    sink = cloud.at("late", partitionBy=["k"])
    await run_remote(written(sink, [{"k": "a/b", "n": 1}, {"k": "c", "n": 2}, {"k": "ü", "n": 3}]))
    found = await run_remote({"source": cloud.at("late/**/*.parquet"), "operations": [{"op": "sort", "by": ["n"]}]})
    assert found.output["data"] == [{"n": 1, "k": "a/b"}, {"n": 2, "k": "c"}, {"n": 3, "k": "ü"}]
    await run_remote(written(sink, [{"k": "d", "n": 4}]))
    assert len(cloud.names) == 1
    assert cloud.names[0].startswith("late/k=d/")


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.json", "*.parquet"])
async def test_wrong_credentials_say_what_to_change_and_no_secret(
    run_remote: RunRemote, cloud: Cloud, name: str
) -> None:
    cloud.put("t.parquet", pl.DataFrame({"a": [1]}))
    place = cloud.at(name, credentials=cloud.wrong)
    with pytest.raises(AgentError, match="credentials") as reading:
        await run_remote({"source": place, "operations": []})
    assert str(reading.value.path).startswith("source")
    failures = [reading.value]
    if "*" not in name:
        with pytest.raises(ConnectionFailed, match="credentials") as writing:
            await run_remote(written(place, [{"a": 1}]))
        failures.append(writing.value)
    for failure in failures:
        for secret in _secrets_of(cloud.wrong):
            assert secret not in f"{failure.message} {failure.details} {failure.hint}"
    assert cloud.names == ["t.parquet"]
    assert cloud.fake.refused


def _secrets_of(credentials: dict[str, str]) -> list[str]:
    texts = [text for name, text in credentials.items() if name != "accountName"]
    if "serviceAccountKey" in credentials:
        texts = json.loads(credentials["serviceAccountKey"])["private_key"].splitlines()[1:-1]
    return [part for text in texts for part in text.split("sig=")[-1:]]


@pytest.mark.parametrize("name", ["missing.parquet", "missing.csv", "missing.json", "missing/*.parquet"])
async def test_what_is_not_there_is_told_as_such(run_remote: RunRemote, cloud: Cloud, name: str) -> None:
    with pytest.raises(AgentError, match=r"^source") as caught:
        await run_remote({"source": cloud.at(name), "operations": []})
    assert "missing" in caught.value.message
    assert "credentials" not in caught.value.message
    with pytest.raises(ConnectionFailed, match=r"^sink: \w\w://absent/t.csv"):
        await run_remote(written(cloud.at("t.csv", container="absent"), [{"a": 1}]))


async def test_without_credentials_the_public_part_is_read(run_remote: RunRemote, cloud: Cloud) -> None:
    cloud.put("t.parquet", pl.DataFrame({"a": [1]}), "open")
    cloud.put("t.parquet", pl.DataFrame({"a": [1]}))
    found = await run_remote({"source": cloud.anonymous("*.parquet", "open"), "operations": []})
    assert found.output["data"] == [{"a": 1}]
    with pytest.raises(AgentError, match="credentials"):
        await run_remote({"source": cloud.anonymous("t.parquet", "tables"), "operations": []})


async def test_a_token_that_has_expired_or_allows_less_is_refused(run_remote: RunRemote, server: Server) -> None:
    cloud = azure(server)
    cloud.fake.blobs.containers["tables"] = {}
    server.answers = [cloud.fake]
    cloud.put("t.parquet", pl.DataFrame({"a": [1]}))
    old = sas_token(KEY, "tables", expires="2020-01-01T00:00:00Z")
    reading = sas_token(KEY, "tables", permissions="rl")
    for token, config in (
        (old, lambda place: {"source": place, "operations": []}),
        (reading, lambda place: written(place, [{"a": 2}])),
    ):
        make: Callable[[Any], Any] = config
        with pytest.raises(AgentError, match="credentials"):
            await run_remote(make(cloud.at("t.parquet", credentials={"accountName": ACCOUNT, "sasToken": token})))
    assert cloud.fake.refused[0].endswith("the token has expired")
    assert cloud.fake.refused[-1].endswith("does not allow it")


@pytest.mark.parametrize(
    ("scheme", "credentials"),
    [
        ("az", {"accountName": ACCOUNT, "accountKey": "hush-hush!"}),
        ("az", {"accountName": ACCOUNT, "sasToken": "hush-hush!"}),
        (
            "gs",
            {
                "serviceAccountKey": json.dumps(
                    dict.fromkeys(("type", "client_email", "private_key_id", "private_key"), "hush-hush!")
                )
            },
        ),
    ],
)
@pytest.mark.parametrize("name", ["t.parquet", "t.json"])
async def test_what_is_no_key_at_all_is_told_without_it(
    run_remote: RunRemote, server: Server, scheme: str, credentials: dict[str, str], name: str
) -> None:
    place = {"url": f"{scheme}://tables/{name}", "endpointUrl": server.url(""), "credentials": credentials}
    for config in ({"source": place, "operations": []}, written(place, [{"a": 1}])):
        with pytest.raises(AgentError, match="these credentials are not well-formed; check") as caught:
            await run_remote(config)
        assert "hush" not in f"{caught.value.message} {caught.value.details}"
