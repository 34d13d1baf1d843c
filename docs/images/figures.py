r"""Draws the figures of the book that are not written by attriburn itself.

    python3 figures.py MAPS

MAPS has the folders methods, baselines, 1, 5, 50 and 500, written by

    attriburn explain --method gradient,smoothgrad,clipgrad,adaptgrad --grid-scale panel --out MAPS/methods
    attriburn explain --method ig-black,ig-white,ig-blur,a-ig-black --samples 10 --steps 20 \
      --grid-scale panel --out MAPS/baselines
    attriburn explain --samples N --out MAPS/N

Writes the figures beside this file, with few colours, so that they are small. Needs pillow.
"""

import sys
from pathlib import Path
from statistics import NormalDist

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent


def save(image, name):
    image.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


def samples(maps):
    """Maps of one image with more and more samples, side by side."""
    counts = [1, 5, 50, 500]
    panels = [Image.open(maps / str(n) / "chelsea" / "adaptgrad.png").convert("RGB") for n in counts]
    size, gap, top = panels[0].width, 8, 28
    sheet = Image.new("RGB", (len(panels) * (size + gap) + gap, size + top + gap), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for i, (count, panel) in enumerate(zip(counts, panels)):
        left = gap + i * (size + gap)
        text = f"{count} sample" if count == 1 else f"{count} samples"
        draw.text((left, 6), text, fill="black", font=font)
        sheet.paste(panel, (left, top))
    save(sheet, "samples.png")


def width():
    """The width of the noise over the value of a pixel, for SmoothGrad and AdaptGrad."""
    left, top, wide, high, largest = 60, 20, 460, 220, 0.45
    x = lambda value: left + value * wide
    y = lambda sigma: top + high - sigma / largest * high
    quantile = NormalDist().inv_cdf
    adaptive = lambda p: 0.5 / quantile((1 + p) / 2)
    lines = [
        ("SmoothGrad, alpha = 0.2", "#888888", [(0, 0.2), (1, 0.2)]),
        ("AdaptGrad, c = 0.95 (Eq. 12)", "#b2182b", [(0, 0), (0.5, adaptive(0.975)), (1, 0)]),
        ("AdaptGrad, published code", "#2166ac", [(0, 0), (0.5, adaptive(0.95)), (1, 0)]),
    ]
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 300" width="560" height="300"'
        ' font-family="sans-serif" font-size="13">',
        '<rect width="560" height="300" fill="white"/>',
        f'<path d="M{left} {top}V{top + high}H{left + wide}" fill="none" stroke="black"/>',
    ]
    for value, name in [(0, "black"), (0.5, "grey"), (1, "white")]:
        out.append(f'<text x="{x(value)}" y="{top + high + 20}" text-anchor="middle">{name}</text>')
    out.append(f'<text x="{x(0.5)}" y="{top + high + 42}" text-anchor="middle">value of the pixel</text>')
    for sigma in (0, 0.1, 0.2, 0.3, 0.4):
        out.append(f'<text x="{left - 8}" y="{y(sigma) + 4:.0f}" text-anchor="end">{sigma}</text>')
    out.append(
        f'<text transform="translate(16 {top + high / 2}) rotate(-90)" text-anchor="middle">'
        "width, as a share of the domain</text>"
    )
    for i, (name, colour, points) in enumerate(lines):
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        height = top + 6 + 20 * i
        out.append(f'<path d="M{left + 14} {height}h24" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{left + 44}" y="{height + 4}">{name}</text>')
    out.append("</svg>")
    (HERE / "width.svg").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    maps = Path(sys.argv[1])
    for name in ("methods", "baselines"):
        save(Image.open(maps / name / "chelsea" / "grid.png"), f"{name}.png")
    samples(maps)
    width()
