"""How people write what they give: levels, requirements, similarities, YAML, tables, numbers."""
