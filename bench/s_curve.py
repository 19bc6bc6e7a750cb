"""The picture of docs/duplicates.md: `python bench/s_curve.py` writes docs/s_curve.svg anew."""

from pathlib import Path

from seimai.files import write_atomic
from seimai.pipeline.bands import PRESETS, Shape, choose_bands, curve_svg

THRESHOLD = 0.8


def main() -> None:
    """The default's curve and those of the presets."""
    shapes = {"default": choose_bands(128, THRESHOLD)}
    shapes |= {name: Shape(preset.bands, preset.rows) for name, preset in PRESETS.items()}
    path = Path(__file__).resolve().parents[1] / "docs" / "s_curve.svg"
    write_atomic(path, curve_svg(shapes, THRESHOLD))
    print(f"{path.name}: {', '.join(f'{name} {bands} x {rows}' for name, (bands, rows) in shapes.items())}")


if __name__ == "__main__":
    main()
