"""Trials of channel `merged`: experts' weights added up and scored, without training

Revision: 0011, after 0010
Made: 2026-11-29 08:10:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In words of their own: SQLite takes a constraint on a new column only together with it.
    op.execute(
        """
        ALTER TABLE trials ADD COLUMN channel VARCHAR(16) DEFAULT 'full' NOT NULL
        CONSTRAINT ck_trials_known_channel CHECK (channel IN ('full', 'merged'))
        """
    )
    op.add_column("studies", sa.Column("merged", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "studies",
        sa.Column("channels", sa.String(length=200), nullable=False, server_default="full"),
    )
