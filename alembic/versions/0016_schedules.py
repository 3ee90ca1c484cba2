"""Mixtures that change during a run: a trial's phases

Revision: 0016, after 0015
Made: 2026-11-29 12:40:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("schedule", sa.JSON(), nullable=True))
