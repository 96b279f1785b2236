"""`torchrun ... -m m3i_dsl.train -- ARGUMENTS`: one process of `m3ic train ARGUMENTS`, however it was started.

The `--` is for torchrun, which takes `--run` for a short form of its own `--run-path`, even behind the module.
"""

import sys

from m3i_dsl.cli.main import main

if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(["train", *(words[1:] if words[:1] == ["--"] else words)]))
