"""Tags of trials

Revision: 0014, after 0013
Made: 2026-11-29 12:40:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("tags", sa.Text(), nullable=False, server_default=""))
