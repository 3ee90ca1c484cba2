"""Learning curves

Revision: 0003, after 0002
Made: 2026-11-23 16:40:00
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "curve_points",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("attempt_number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.id"], name=op.f("fk_curve_points_trial_id_trials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_curve_points")),
        sa.UniqueConstraint(
            "trial_id",
            "attempt_number",
            "step",
            name=op.f("uq_curve_points_trial_id_attempt_number_step"),
        ),
    )
