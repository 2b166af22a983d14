"""Arrays -> matplotlib figures. Loads and trains nothing."""

from latently.pictures.codes import scatter, scatters
from latently.pictures.confusion import confusion
from latently.pictures.curves import compared_curves, lines, training_curves
from latently.pictures.plane import canvas, canvas_codes, quantile_codes
from latently.pictures.save import ENDINGS, save
from latently.pictures.sheets import grid, reconstructions, rows, samples, sheet, sheets, traversals, with_maps
from latently.pictures.style import TEN_COLOURS, TWENTY_COLOURS, Figure

__all__ = [
    "ENDINGS",
    "TEN_COLOURS",
    "TWENTY_COLOURS",
    "Figure",
    "canvas",
    "canvas_codes",
    "compared_curves",
    "confusion",
    "grid",
    "lines",
    "quantile_codes",
    "reconstructions",
    "rows",
    "samples",
    "save",
    "scatter",
    "scatters",
    "sheet",
    "sheets",
    "training_curves",
    "traversals",
    "with_maps",
]
