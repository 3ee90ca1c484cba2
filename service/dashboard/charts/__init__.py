"""Figures for Plotly, made from values; none reads a database."""
