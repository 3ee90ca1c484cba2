"""Studies that are edited: how often, what they were created as, and what they were called

Revision: 0012, after 0011
Made: 2026-11-29 11:00:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("edits", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("created_as", sa.JSON(), nullable=True))
    op.add_column(
        "studies", sa.Column("former_names", sa.Text(), nullable=False, server_default="")
    )
