"""The command ``attriburn``."""

import signal
import sys

from attriburn._native import run_command


def main() -> None:
    # The command ends at once on Ctrl-C, as other programs do.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run_command(["attriburn", *sys.argv[1:]]))
