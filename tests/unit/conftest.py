"""Settings of the unit tests."""

from hypothesis import settings

# Machines are slow at times; how long an example takes is not what these tests are about.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
