"""Trials that rest, trials kept from a worker, and failures in a row

Revision: 0007, after 0006
Made: 2026-11-28 19:00:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("releases", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("trials", sa.Column("rests_until", sa.Double(), nullable=True))
    op.add_column("trials", sa.Column("kept_from", sa.String(length=200), nullable=True))
    op.add_column("trials", sa.Column("kept_from_until", sa.Double(), nullable=True))
    op.add_column("studies", sa.Column("failing", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("proposed_out", sa.String(length=64), nullable=True))
    op.create_index("ix_attempts_trial_id_token_hash", "attempts", ["trial_id", "token_hash"])
    # What was counted anew at every look until now.
    op.execute(
        """
        UPDATE studies SET failing = (
            SELECT COUNT(*) FROM trials
            WHERE trials.study_id = studies.id AND trials.state = 'failed'
            AND trials.finished_at > studies.resumed_at
            AND NOT EXISTS (
                SELECT 1 FROM trials AS done
                WHERE done.study_id = studies.id AND done.state IN ('completed', 'early_stopped')
                AND done.finished_at >= trials.finished_at
            )
        )
        """
    )
