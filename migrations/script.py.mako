"""${message}."""

${imports if imports else "from alembic import op"}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Forward."""
    ${upgrades if upgrades else "op.get_bind()"}


def downgrade() -> None:
    """Back."""
    ${downgrades if downgrades else "op.get_bind()"}
