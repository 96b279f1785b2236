"""`python run_notebook.py NOTEBOOK`: runs the code cells of a notebook in IPython, in the folder that it is started in.

Ends with exit code 1 at the first cell that raises or writes nothing where it ends in an expression.
"""

from __future__ import annotations

import json
import sys

from IPython.core.interactiveshell import InteractiveShell


def main(path: str) -> int:
    with open(path, encoding="utf-8") as file:
        cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
    shell = InteractiveShell.instance()
    for number, cell in enumerate(cells, 1):
        result = shell.run_cell("".join(cell["source"]))
        if not result.success:
            print(f"cell {number} of {path} failed", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
