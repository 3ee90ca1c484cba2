"""Runs that the search trains in part: what of the budget they use, and who may continue them

Revision: 0013, after 0012
Made: 2026-11-29 11:10:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("share", sa.Double(), nullable=False, server_default="1"))
    op.add_column(
        "trials", sa.Column("by_hand", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("studies", sa.Column("unspent", sa.Double(), nullable=False, server_default="0"))
    op.add_column(
        "studies",
        sa.Column("early_stopping", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    # Until now only people said where a run ends.
    op.execute(
        """
        UPDATE trials SET by_hand = (1 = 1)
        WHERE origin <> 'proposed' OR stop_at IS NOT NULL OR asked IS NOT NULL OR state = 'paused'
        """
    )
