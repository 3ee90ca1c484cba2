"""The web pages: server-rendered, with small plain modules and Plotly served from here.

`pages/` has a file a URL, `queries/` what pages read from the database, `charts/` their figures as
plain Plotly JSON (drawn by `static/charts.js`), `words.py` how numbers are put, `assets.py` the
static files.
"""
