"""Finished runs that were added to a study, which use none of its budget

Revision: 0008, after 0007
Made: 2026-11-28 22:00:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "studies", sa.Column("attached", sa.Integer(), nullable=False, server_default="0")
    )
    op.execute(
        """
        UPDATE studies SET attached = (
            SELECT COUNT(*) FROM trials
            WHERE trials.study_id = studies.id AND trials.origin = 'attached'
        )
        """
    )
