"""What runs cost: GPUs of an attempt, GPU-seconds and a budget in GPU-hours of a study

Revision: 0009, after 0008
Made: 2026-11-29 05:25:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("gpus", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("studies", sa.Column("gpu_s", sa.Double(), nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("gpu_hours", sa.Double(), nullable=True))
    # As db/cost.py counts them: up to the last sign of life of those that lost their lease.
    op.execute(
        """
        UPDATE studies SET gpu_s = COALESCE((
            SELECT SUM(CASE WHEN held > 0 THEN held ELSE 0 END) FROM (
                SELECT trials.study_id AS of_study, CASE
                    WHEN attempts.state = 'expired'
                    THEN COALESCE(attempts.heard_at, attempts.claimed_at)
                    ELSE COALESCE(attempts.ended_at, attempts.claimed_at)
                END - attempts.claimed_at AS held
                FROM attempts JOIN trials ON trials.id = attempts.trial_id
                WHERE attempts.state <> 'live'
            ) AS spent WHERE spent.of_study = studies.id
        ), 0)
        """
    )
