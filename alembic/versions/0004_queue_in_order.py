"""The queue in its own order

Revision: 0004, after 0003
Made: 2026-11-23 16:52:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_trials_queue", "trials", ["state", sa.text("(- priority)"), "id"])
    op.drop_index("ix_trials_state_priority_id", table_name="trials")
