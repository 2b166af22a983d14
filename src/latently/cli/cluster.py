"""The command that divides images into groups."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from latently.cli.arguments import Device, JsonFlag, PartOfImages, RunData, default_shown
from latently.cli.shared import open_run, require_autoencoder
from latently.common.console import format_value, note, print_json, print_rows
from latently.common.errors import require, require_extra

FILES = ("groups.csv", "labels.csv", "groups.png")


def cluster(
    run: tyro.conf.Positional[Path],
    groups: Annotated[int | None, default_shown("2 to 30, by the mean silhouette of k-means")] = None,
    method: Literal["mixture", "k-means", "hdbscan"] = "mixture",
    space: Literal["auto", "umap", "codes"] = "auto",
    data: RunData = None,
    part: PartOfImages = "all",
    out: Annotated[Path | None, default_shown("RUN/groups")] = None,
    overwrite: bool = False,
    seed: int = 0,
    device: Device = "auto",
    json: JsonFlag = False,
) -> None:
    """Divide images into groups without labels: a table, a label file, and a sheet of typical and doubtful images.

    Args:
        run: Run folder of an autoencoder.
        groups: Number of groups.
        method: A mixture of Gaussians, k-means, or HDBSCAN, which finds its own number and leaves images ungrouped.
        space: Where groups are looked for: the codes (of simclr the part that is compared), or their UMAP; auto: UMAP
            if it is installed.
        data: Images to divide, a name or a path.
        out: Folder to write: groups.csv (name, group, certainty, distance to the group's mean), labels.csv (the groups
            as labels, for --labels of train and explore), groups.png.
        overwrite: Replace groups that were written before.
        seed: Random seed.
    """
    from latently import pictures
    from latently.analysis import cluster as cluster_room
    from latently.runs import outputs

    place = out or run / "groups"
    require(groups is None or groups >= 2, f"--groups is {groups}; expected at least 2")
    require(groups is None or method != "hdbscan", "HDBSCAN finds its own number; leave --groups out")
    require(seed >= 0, f"--seed is {seed}; expected at least 0")
    if space == "umap":
        require_extra("umap", "umap")
    outputs.check_folder(place, FILES)
    written = [name for name in FILES if (place / name).exists()]
    require(overwrite or not written, f"{place} has {', '.join(written)}; give --overwrite, or another --out")
    opened = open_run(run, data, device)
    autoencoder = require_autoencoder(opened.estimator, run)
    images = opened.part(part, as_in_source=True)
    opened.require_apart(place / "groups.png", adds_images=True)
    if space == "auto" and cluster_room.resolved(space) == "codes":
        note("note: groups are found in the codes; pip install 'latently[umap]' finds better ones in their UMAP")
    features = autoencoder.features(images.images, images.label_names)
    found = cluster_room.find_groups(images, features, method, space, groups, seed)
    found.write(place)
    pictures.save(found.picture(autoencoder.seen(images.images)), place / "groups.png")
    figures, rows = found.figures(), found.rows()
    if json:
        print_json(figures | {"groups": rows})
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print_rows(
        f"{figures['n_groups']} groups of {len(images):,} images of {images.source}",
        columns,
        [[format_value(row.get(name, "")) for name in columns] for row in rows],
    )
    if "nmi" in figures:
        print(f"against labels: accuracy {figures['clustering_accuracy']:.3f}, NMI {figures['nmi']:.3f}")
    for name in FILES:
        print(place / name)
