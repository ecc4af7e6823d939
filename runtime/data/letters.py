"""Writes the letters of the pictures: `DejaVuSans.letters.gz`, from `DejaVuSans.ttf` 2.37.

    pip install fonttools
    python3 letters.py DejaVuSans.ttf DejaVuSans.letters.gz

The font is at <https://dejavu-fonts.github.io/>; distributions have it as `fonts-dejavu`. The
library needs neither this script nor the font: it reads what is written here, which is text.

The first line is `units-per-em ascent descent`, in the font's units, as all numbers here. Every
other line is a letter: its code point in hexadecimal (`-` for what stands for letters that are not
there), how far the next letter is from it, and its outline, as an SVG path has it: `m` begins a
contour, `l` is a line and `q` a quadratic curve by its control point; each is followed by places
seen from the last point, which is the origin at first; contours are closed; y goes up.
"""

import gzip
import sys

from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont

# Latin, Greek, Cyrillic; dashes, quotes, superscripts and subscripts, signs like € and ℕ; arrows,
# mathematics, shapes, ticks and crosses.
RANGES = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x192, 0x192), (0x218, 0x21B), (0x370, 0x45F), (0x1E9E, 0x1E9E),
    (0x2010, 0x2015), (0x2018, 0x2022), (0x2026, 0x2026), (0x2030, 0x2030), (0x2032, 0x2033),
    (0x2070, 0x209C), (0x20AC, 0x20AC), (0x2102, 0x2109), (0x210B, 0x2124), (0x2190, 0x2199),
    (0x21D0, 0x21D5), (0x2200, 0x230B), (0x25A0, 0x25FF), (0x2713, 0x2717), (0xFFFD, 0xFFFD),
]


class Path(BasePen):
    """The outline of a letter as text; letters made of others are taken apart by `BasePen`."""

    def __init__(self, glyphs):
        super().__init__(glyphs)
        self.text = ""
        self.last = (0, 0)

    def add(self, command, *points):
        # Between points of the font, which are whole, its curves have others in the middle.
        points = [(round(2 * x) / 2, round(2 * y) / 2) for x, y in points]
        x, y = self.last
        self.text += command + " ".join(f"{px - x:g} {py - y:g}" for px, py in points)
        self.last = points[-1]

    def _moveTo(self, to):
        self.add("m", to)

    def _lineTo(self, to):
        self.add("l", to)

    def _qCurveToOne(self, control, to):
        self.add("q", control, to)

    def _closePath(self):
        pass


def main(source, destination):
    font = TTFont(source)
    version = font["name"].getDebugName(5)
    if version != "Version 2.37":
        sys.exit(f"{source} is {version}, not Version 2.37")
    glyphs, names = font.getGlyphSet(), font.getBestCmap()

    def line(code, name):
        path = Path(glyphs)
        glyphs[name].draw(path)
        return f"{code} {glyphs[name].width} {path.text}".rstrip() + "\n"

    horizontal = font["hhea"]
    text = f"{font['head'].unitsPerEm} {horizontal.ascent} {horizontal.descent}\n"
    text += line("-", ".notdef")
    for first, last in RANGES:
        for code in range(first, last + 1):
            if code in names:
                text += line(f"{code:x}", names[code])
    with open(destination, "wb") as file:
        # Without the time, the same font gives the same bytes.
        file.write(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
