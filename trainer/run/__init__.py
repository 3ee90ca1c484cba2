"""One training run: GRPO on a mixture, evaluation, checkpoints. The only room that imports TRL."""
