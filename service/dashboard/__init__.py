"""The web pages: server-rendered, with small plain modules and Plotly served from here.

`pages.py` has the addresses, `reading.py` what they show, `figures.py` the charts as plain Plotly
JSON (drawn by `static/charts.js`), `words.py` how numbers are put, `assets.py` the static files.
"""
