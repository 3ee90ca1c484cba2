"""Folders and stores of runs: written whole, kept elsewhere, found again."""
