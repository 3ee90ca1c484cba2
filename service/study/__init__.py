"""What a study knows: its runs and mixtures, its best, how it is shown and exported."""
