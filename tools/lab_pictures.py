"""Pictures of the pages that live, for README and docs: python tools/lab_pictures.py SPIRAL_RUN DIGITS_RUN.

Writes lab-digits.png, lab-spins.png and the moving lab.webp into docs/images, from the pages as Chromium shows them.
"""

import io
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from undiffuse.studies import lab

OUT = Path(__file__).parents[1] / "docs/images"
SIZE = {"width": 1280, "height": 860}
WIDTH = 800  # of the moving picture
MILLISECONDS = 90  # a frame

Frames = list[Image.Image]


def main() -> None:
    """Make every picture."""
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])

        def page(run: Any, **options: int) -> Page:
            out = Path(folder) / "page.html"
            lab.run(lab.Settings(run, out=out, overwrite=True, **options))
            opened = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            opened.goto(out.as_uri() + "#still")
            opened.wait_for_timeout(1500)
            return opened

        frames = [*plane(page(Path(sys.argv[1]))), *digits(page(Path(sys.argv[2]))), *spins(page(Path("curie-weiss")))]
        browser.close()
    first, *rest = frames
    first.save(OUT / "lab.webp", save_all=True, append_images=rest, duration=MILLISECONDS, loop=0, quality=50, method=6)
    print(f"lab.webp: {len(frames)} frames, {(OUT / 'lab.webp').stat().st_size} bytes")


def seen(page: Page) -> Image.Image:
    """The page as it is now, once it has drawn what it was asked for."""
    page.wait_for_timeout(120)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return picture.resize((WIDTH, WIDTH * picture.height // picture.width), Image.Resampling.LANCZOS)


def plane(page: Page) -> Frames:
    """Particles on their way to the data, with scores and the exact potential."""
    for layer in ("learned", "contours"):
        page.evaluate(f"lab.player.toggle('{layer}')")
    frames = []
    while (t := page.evaluate("lab.t")) > 0:
        page.evaluate("t => lab.step(lab.player.chain.nearest(t) - lab.player.chain.index)", 0.86 * t - 3)
        page.wait_for_timeout(500)  # the exact potential of a new time takes a moment
        frames.append(seen(page))
    return frames + frames[-1:] * 5


def digits(page: Page) -> Frames:
    """A mask drawn on a held-out digit, and what is made of it."""
    left, top = page.evaluate("(({ x, y }) => [x, y])(document.getElementById('chosen').getBoundingClientRect())")
    for _ in range(3):
        page.keyboard.press("n")
    frames = [seen(page)]
    page.mouse.move(left + 20, top + 30)
    page.mouse.down()
    for k in range(6):
        page.mouse.move(left + (20, 140)[k % 2], top + 30 + 9 * k, steps=8)
        frames.append(seen(page))
    page.mouse.up()
    page.evaluate("lab.player.rebuild() || lab.player.pause()")
    for steps in [6] * 4 + [2] * 13:  # fast through the noise
        page.evaluate(f"lab.step({steps})")
        frames.append(seen(page))
        if len(frames) == 22:
            page.wait_for_timeout(700)
            page.screenshot(path=OUT / "lab-digits.png")
    return frames + frames[-1:] * 7


def spins(page: Page) -> Frames:
    """Walkers of 50 spins beside the measurements of 500."""
    page.evaluate("lab.model(500, 1.5, 0) || lab.step(500)")
    page.evaluate("lab.model(50, 1.5, 0)")
    page.wait_for_timeout(1500)
    frames = []
    while page.evaluate("lab.t") > 0:
        page.evaluate("lab.step(7)")
        frames.append(seen(page))
        if len(frames) == 15:
            page.screenshot(path=OUT / "lab-spins.png")
    return frames + frames[-1:] * 7


if __name__ == "__main__":
    main()
