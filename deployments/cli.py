"""The command line, `turbocat`. Each command is a few lines here; what it does lies in `deployments.local` or in a
process of its own that takes this one's place, so that `--help` and the stack's own process load neither Prefect nor
the platform."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deployments.local.errors import StackError
from deployments.local.reporting import print_error
from deployments.local.stack import StackOptions
from deployments.local.up import down as stop_stack
from deployments.local.up import up as run_stack

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turbocat: agents and data pipelines, REST in front and Prefect underneath.",
)
secrets = typer.Typer(no_args_is_help=True, help="The encryption of secrets.")
app.add_typer(secrets, name="secrets")

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="TURBOCAT_DATA_DIR", help="Folder of everything kept.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")]


@app.command()
def up(
    data_dir: DataDir = Path(".turbocat"),
    api_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the API; 0 takes a free one.")] = 3001,
    prefect_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of Prefect; 0 takes a free one.")] = 4200,
    reload: Annotated[bool, typer.Option("--reload", help="Restart API and worker when sources change.")] = False,
    debug: Debug = False,
) -> None:
    """Start everything: PostgreSQL, Prefect, API and worker."""
    options = StackOptions(data_dir=data_dir, api_port=api_port, prefect_port=prefect_port, reload=reload)
    with _errors_shown(debug):
        raise typer.Exit(run_stack(options, Console()))


@app.command()
def down(data_dir: DataDir = Path(".turbocat"), debug: Debug = False) -> None:
    """Stop the stack that runs in the data folder."""
    with _errors_shown(debug):
        raise typer.Exit(stop_stack(data_dir, Console()))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
    debug: Debug = False,
) -> None:
    """Run a real data pipeline on a temporary stack and show its report."""
    _become("deployments.demo", *(["--keep"] if keep else []), *(["--debug"] if debug else []))


@app.command()
def doctor(data_dir: DataDir = Path(".turbocat")) -> None:
    """Check this machine and say what to do about each failing point."""
    _become("deployments.commands.doctor", str(data_dir))


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    _become("deployments.commands.openapi")


@app.command()
def migrate() -> None:
    """Bring the database of DATABASE_URL to the newest schema."""
    _become("deployments.commands.migrate")


@app.command()
def api() -> None:
    """Run the API alone, with the settings of the environment."""
    _become("deployments.start", "deployments.commands.api")


@app.command()
def worker() -> None:
    """Run a worker alone, with the settings of the environment."""
    _become("deployments.start", "deployments.worker")


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(metavar="FORMAT", help="wfcommons: WfFormat 1.5 of the WfCommons project.")],
    file: Annotated[Path, typer.Argument(help="The file to import.")],
    scale: Annotated[float, typer.Option(min=0, help="Seconds that a step waits per recorded second.")] = 0.0,
    printed: Annotated[bool, typer.Option("--print", help="Print the workflow's JSON, import nothing.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Run it at once and wait for its end.")] = False,
    api_url: Annotated[str | None, typer.Option(help="Where the platform answers.")] = None,
    data_dir: DataDir = Path(".turbocat"),
    debug: Debug = False,
) -> None:
    """Import a workflow of another system; the API key comes from TURBOCAT_API_KEY."""
    flags = {"--print": printed, "--run": run, "--debug": debug}
    options = ["--scale", str(scale), "--data-dir", str(data_dir), *(name for name, on in flags.items() if on)]
    _become("deployments.importing", kind, str(file), *options, *(["--api-url", api_url] if api_url else []))


@secrets.command()
def rotate() -> None:
    """Encrypt all secrets of DATABASE_URL anew with ENCRYPTION_KEY, while everything goes on running."""
    _become("deployments.commands.rotate_secrets")


def main() -> None:
    """The entry point of the project."""
    app(prog_name="turbocat")


def _become(module: str, *arguments: str) -> None:
    """Goes on as another module in the same process, so that signals and exit code are its own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 # no shell is wanted


@contextmanager
def _errors_shown(debug: bool) -> Iterator[None]:
    """An error is one clear line and a hint on standard error; its traceback only where it was asked for."""
    try:
        yield
    except StackError as error:
        if debug:
            raise
        print_error(Console(stderr=True), error)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    main()
