"""Fits of a study's surrogates: asked for, computed elsewhere, kept, and turned into answers."""
