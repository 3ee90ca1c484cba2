"""What was sent under an idempotency key

Revision: 0006, after 0005
Made: 2026-11-26 17:40:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("client_hash", sa.String(length=64), nullable=True))
