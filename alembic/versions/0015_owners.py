"""Owners of keys and studies, and the GPU-hours that each may use

Revision: 0015, after 0014
Made: 2026-11-29 12:40:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "owners",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("gpu_hours", sa.Double(), nullable=True),
        sa.Column("deleted_gpu_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_owners")),
    )
    op.add_column("api_keys", sa.Column("owner", sa.String(length=64), nullable=True))
    op.add_column("studies", sa.Column("owner", sa.String(length=64), nullable=True))
