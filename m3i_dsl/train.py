"""`torchrun ... -m m3i_dsl.train ARGUMENTS`: one process of `m3ic train ARGUMENTS`, however it was started."""

import sys

from m3i_dsl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
