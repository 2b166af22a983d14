"""latently share: a run on the Hugging Face hub."""

from pathlib import Path

import tyro


def share(run: tyro.conf.Positional[Path], to: str, private: bool = False) -> None:
    """Send a run with its model card to the Hugging Face hub.

    Weights, settings and figures are sent; pictures, labels, names of files and paths of this machine are not. Anyone
    loads it with latently.load("hf://OWNER/NAME").

    Args:
        run: Run folder.
        to: Repository on the hub, OWNER/NAME; it is made if there is none.
        private: A new repository is for its owner alone.
    """
    from latently.report.share import share

    print(share(run, to, private))
