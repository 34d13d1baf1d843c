r"""Takes the screenshots of the pages in the README.

    python3 screenshots.py EXPLAINED EVALUATED

EXPLAINED and EVALUATED are pages, written by

    attriburn explain chelsea.png coffee.png --method gradient,smoothgrad,adaptgrad,a-ig-black --steps 10
    attriburn evaluate insertion,deletion --methods gradient,smoothgrad,adaptgrad --images photos/

with photographs from scikit-image's sample data. Writes the figures beside this file, with few colours, so that they
are small. Needs chromium and pillow.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
OPTIONS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --virtual-time-budget=20000
    --run-all-compositor-stages-before-draw""".split()

# Looks at the certain values of the third map of the page.
ENLARGED = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
(async () => {
  await wait(1000);
  const maps = document.querySelectorAll("[data-map]");
  maps[2].focus();
  maps[2].dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  await wait(300);
  for (const [id, value] of [["certainty", 2], ["opacity", 85]]) {
    const control = document.getElementById(id);
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
  await wait(300);
  const large = document.querySelector("#enlarged [data-map]");
  const box = large.getBoundingClientRect();
  const place = { clientX: box.left + 0.3 * box.width, clientY: box.top + 0.36 * box.height, bubbles: true };
  large.dispatchEvent(new PointerEvent("pointermove", place));
})();
"""


def screenshot(page, name, size, scheme, script=""):
    text = page.read_text().replace("</body>", f"<script>{script}</script></body>")
    with tempfile.TemporaryDirectory() as folder:
        copy, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        copy.write_text(text)
        own = [f"--user-data-dir={folder}/profile", f"--screenshot={shot}", "--window-size=%d,%d" % size]
        colours = f"--blink-settings=preferredColorScheme={scheme}"
        subprocess.run(["chromium", *OPTIONS, *own, colours, copy.as_uri()], check=True, capture_output=True)
        image = Image.open(shot).convert("RGB")
        image.quantize(128, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    explained, evaluated = map(Path, sys.argv[1:])
    screenshot(explained, "page-maps.png", (1280, 860), 1)
    screenshot(explained, "page-enlarged.png", (1280, 860), 0, ENLARGED)
    screenshot(evaluated, "page-evaluation.png", (1280, 1100), 1)
