import os
import sys

# Python looks first in the folder that `python -m` runs in, as `accelerate launch -m modomodo` has
# it: a user's own `trainer` or `service` there is not ours.
code = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
if not sys.flags.safe_path and sys.path[0] == os.getcwd() != code:  # noqa: PTH109
    del sys.path[0]

from modomodo.cli import main  # noqa: E402 - only now is it found where it should be

main()
