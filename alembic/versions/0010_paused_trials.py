"""Trials that pause at a step and are continued

Revision: 0010, after 0009
Made: 2026-11-29 06:00:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATES = {
    "trials": ("queued", "running", "completed", "failed", "cancelled", "early_stopped"),
    "attempts": ("live", "completed", "failed", "expired", "released", "cancelled"),
}
"""As they were before."""


def upgrade() -> None:
    op.add_column("trials", sa.Column("stop_at", sa.Integer(), nullable=True))
    op.add_column("trials", sa.Column("asked", sa.String(length=16), nullable=True))
    op.add_column("trials", sa.Column("asked_why", sa.Text(), nullable=True))
    for table, states in STATES.items():
        _allow(table, _listed(states), _listed((*states, "paused")))


def _listed(states: tuple[str, ...]) -> str:
    return "state IN ({})".format(", ".join(f"'{state}'" for state in states))


def _allow(table: str, was: str, now: str) -> None:
    """Gives a table another constraint on its states."""
    connection = op.get_bind()
    name = f"ck_{table}_known_state"
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, now)
        return
    # What is stored stays as it is, so the words of the table are changed where they stand: copying
    # it would mean to drop a table that others point to (sqlite.org/lang_altertable.html, 8).
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :was, :now) "
            "WHERE type = 'table' AND name = :name"
        ),
        {"was": was, "now": now, "name": table},
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
