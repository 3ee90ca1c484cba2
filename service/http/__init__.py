"""What every call passes: keys, scopes, limits, problems, headers, the access log, paging."""
