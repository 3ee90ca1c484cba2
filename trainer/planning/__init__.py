"""What a recipe will need: reach, steps, memory."""
