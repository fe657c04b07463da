"""The photographs that scikit-image ships inside its package: no network, and no import of it."""

import importlib.util
from pathlib import Path
from typing import Final

# Photographs alone, of which its folder also holds drawings, masks and test patterns.
_NAMES: Final = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)


def photographs() -> tuple[Path, ...]:
    """Return the photographs that the installed scikit-image holds.

    Raises:
        ModuleNotFoundError: The `demo` extra is not installed.
    """
    # Looked for and not imported: importing it takes longer than the whole demo, and its own
    # functions may want to download.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'skimage'", name="skimage")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return tuple(path for name in _NAMES if (path := folder / name).is_file())
