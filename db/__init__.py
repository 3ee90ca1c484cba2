"""Storage: models, sessions, and the claim, lease and finish statements.

Every function takes an open session and changes rows; opening and committing is the caller's, so
that one call of the service is one transaction. Nothing here knows HTTP or the engine.
"""
