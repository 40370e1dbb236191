"""One picture of all states, and few enough colours for a repository."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

from PIL import Image

#: What is on the contact sheet, row by row: the part with the words, and whole phones.
TILES = (
    "opening", "no-car", "live", "frozen", "stalled", "reopening", "camera-back", "source-ended", "failed",
    "token-wrong", "server-busy", "server-away", "several-cars", "no-webgl", "live-light", "live-lying", "live-phone",
    "live-phone-below", "token-needed-phone",
)  # fmt: skip
WHOLE = ("several-cars", "no-webgl", "live-light", "live-lying")
SHEET = """<style>
body { margin: 0; padding: 14px; width: 954px; background: #e9edf1; font: 600 15px system-ui, sans-serif; }
main { display: flex; flex-wrap: wrap; gap: 12px 14px; } figure { margin: 0; }
img { display: block; width: 470px; height: 240px; object-fit: cover; object-position: top left; border-radius: 6px; }
.part img { object-fit: none; zoom: 0.5; width: 940px; height: 480px; border-radius: 12px; }
.tall img { width: auto; height: 480px; } figcaption { padding: 4px 2px; }
</style><main>%s</main>"""
STYLE = Path(__file__).parents[2] / "edge" / "server" / "static" / "style.css"


def sheet(chromium: Any, folder: Path, path: Path) -> None:
    """The pictures of a folder, as tests/page/shots.py makes them, with their names in one."""
    figures = []
    for name in TILES:
        data = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
        shape = "tall" if "phone" in name else "whole" if name in WHOLE else "part"
        figures.append(f'<figure class="{shape}"><img src="data:image/png;base64,{data}">'
                       f'<figcaption>{name.replace("-", " ")}</figcaption></figure>')  # fmt: skip
    page = chromium.new_page(viewport={"width": 982, "height": 400})
    page.set_content(SHEET % "".join(figures))
    shrink(page.screenshot(full_page=True), path, 96)


def eyes(chromium: Any, folder: Path, path: Path) -> None:
    """The cloud for red-cyan glasses, and below it what a phone shows to a viewer, in one."""
    shown = [base64.b64encode((folder / f"{name}.png").read_bytes()).decode() for name in ("glasses", "viewer")]
    page = chromium.new_page(viewport={"width": 844, "height": 400})
    style = "<style>body { margin: 0; } img { display: block; width: 844px; }</style>"
    page.set_content(style + "".join(f'<img src="data:image/png;base64,{each}">' for each in shown))
    shrink(page.screenshot(full_page=True), path, 128)


def shrink(png: bytes, path: Path, colours: int) -> None:
    """Save a picture in so few colours that it may lie in a repository; those of the page are kept among them."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    names = sorted(set(re.findall("#[0-9a-f]{6}", STYLE.read_text())))
    sample = Image.new("RGB", (picture.width, picture.height + 8 * len(names)))
    sample.paste(picture)
    for index, name in enumerate(names):
        sample.paste(name, (0, picture.height + 8 * index, picture.width, picture.height + 8 * (index + 1)))
    palette = sample.quantize(colours, kmeans=1)
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB", flush=True)
