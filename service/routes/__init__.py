"""The calls of the HTTP interface: parse, call, answer."""
