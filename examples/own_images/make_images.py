"""Makes a small folder of images with captions, in the form that `folder(...)` reads.

images/<category>/<name>.png      an image; the folder is its category
images/<category>/<name>.txt      its caption
held_out/...                      the same, to evaluate on
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle")
COLORS = {"red": (200, 60, 50), "green": (70, 150, 80), "blue": (60, 90, 180)}
ROOT = Path(__file__).parent


def draw(shape: str, color: str, generator: np.random.Generator) -> Image.Image:
    """One shape of 48 x 40 to 64 x 64 px on a noisy ground."""
    width, height = (int(side) for side in generator.integers((48, 40), (65, 65)))
    ground = generator.integers(180, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(ground)
    side = int(generator.integers(16, 32))
    left, top = (int(generator.integers(2, length - side)) for length in (width, height))
    box = (left, top, left + side, top + side)
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse(box, fill=COLORS[color])
    elif shape == "square":
        pen.rectangle(box, fill=COLORS[color])
    else:
        pen.polygon([(left, top + side), (left + side, top + side), (left + side // 2, top)], fill=COLORS[color])
    return image


def main() -> None:
    """Writes 40 images of each shape to train on and 10 to evaluate on."""
    generator = np.random.default_rng(0)
    for part, count in (("images", 40), ("held_out", 10)):
        for shape in SHAPES:
            folder = ROOT / part / shape
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                color = str(generator.choice(list(COLORS)))
                draw(shape, color, generator).save(folder / f"{index:03}.png")
                (folder / f"{index:03}.txt").write_text(f"a {color} {shape}\n", encoding="utf-8")
    print(ROOT / "images")


if __name__ == "__main__":
    main()
