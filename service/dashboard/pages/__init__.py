"""A URL leads to a file here: routes that read, draw and render."""
