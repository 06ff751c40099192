"""All tables, with their types, indexes, triggers, policies and grants."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCRIPTS = Path(__file__).parents[1] / "sql" / "0001"
UP = ("01_types", "02_identity", "03_definitions", "04_runs", "05_triggers", "06_tenancy", "07_search")


def upgrade() -> None:
    """From nothing."""
    for name in UP:
        run(name)


def downgrade() -> None:
    """To nothing."""
    run("down")


def run(name: str) -> None:
    """Executes a script as it is: several statements, no parameters, no escaping."""
    script = (SCRIPTS / f"{name}.sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(script)
