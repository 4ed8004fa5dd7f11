"""`python -m isolate.supervisor STATE_DIRECTORY`: a supervisor in the background."""

import sys

from isolate.supervisor.guardian import main

main(sys.argv[1])
