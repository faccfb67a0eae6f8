"""Draws curves.svg from runs/*.csv: loss per model over processor seconds, `python3 curves.py`."""

import csv
import pathlib

from recipes import RECIPES
from train import RUNS

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 860, 420, 60, 30, 170, 45
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#d1912b", "#4a4e69", "#2a9d8f", "#b5179e", "#6c757d")


def read(name):
    """[(seconds, loss)] of a run; empty when there is none."""
    path = RUNS / f"{name}.csv"
    if not path.exists():
        return []
    with open(path) as file:
        return [(float(row[1]), float(row[2])) for row in csv.reader(file)]


def polyline(points, seconds_max, loss_max, colour):
    def place(seconds, loss):
        x = LEFT + seconds / seconds_max * (WIDTH - LEFT - RIGHT)
        y = TOP + (1 - min(loss, loss_max) / loss_max) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"
    return (f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" '
            f'points="{" ".join(place(*p) for p in points)}"/>')


def text(x, y, content, anchor="start", colour="#333"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{content}</text>'


def draw(runs):
    """The picture as SVG text."""
    seconds_max = max(s for points in runs.values() for s, _ in points)
    loss_max = 2.0
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for i in range(5):
        y = TOP + i / 4 * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, y + 4, f"{loss_max * (1 - i / 4):.1f}", "end"))
        x = LEFT + i / 4 * (WIDTH - LEFT - RIGHT)
        parts.append(text(x, HEIGHT - BOTTOM + 18, f"{seconds_max * i / 4:.0f}", "middle"))
    parts.append(text(LEFT, TOP - 12, "loss per reply token, mean of 50 steps"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "processor seconds", "middle"))
    for i, (name, points) in enumerate(runs.items()):
        colour = COLOURS[i % len(COLOURS)]
        parts.append(polyline(points, seconds_max, loss_max, colour))
        parts.append(text(WIDTH - RIGHT + 12, TOP + 18 * i + 8, f"{name} {points[-1][1]:.2f}", colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def main():
    runs = {name: read(name) for name in RECIPES}
    pathlib.Path(__file__).with_name("curves.svg").write_text(draw({n: p for n, p in runs.items() if p}))


if __name__ == "__main__":
    main()
