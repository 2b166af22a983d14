"""`latently train prior RUN`: a prior over the codes of a finished run, kept in its folder.

A command of its own and no flag of `train MODEL`: it works on any run that there is, again with other settings, and
needs no second training of the autoencoder.
"""

from pathlib import Path

import tyro

from latently.cli.arguments import RunData
from latently.cli.shared import open_run, require_autoencoder
from latently.common.console import note
from latently.common.errors import require
from latently.estimator.code_prior import FOLDER, CodePrior
from latently.models.flow_matching import FlowMatching
from latently.runs.folder import Context, Run
from latently.training.settings import Training
from latently.training.watchers import Bar, Log

DEFAULT_MODEL, DEFAULT_TRAINING = FlowMatching(), CodePrior().training()


def train_prior(
    run: tyro.conf.Positional[Path],
    model: FlowMatching = DEFAULT_MODEL,
    training: Training = DEFAULT_TRAINING,
    data: RunData = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Learn the distribution of a run's codes by flow matching, for `latently sample`; kept in RUN/prior.

    Args:
        run: Run folder of any model with codes.
        data: Path of the run's own images, if they have moved.
        seed: Random seed.
        resume: Continue an interrupted run, with the settings that it was started with.
        overwrite: Replace the run's prior.
    """
    require(not (resume and overwrite), "--resume and --overwrite contradict each other; give one")
    opened = open_run(run, data, training.device)
    autoencoder = require_autoencoder(opened.estimator, run)
    train = opened.own_train("whose codes are learned")
    folder = Run(run / FOLDER, overwrite, Context(about={"train": "prior"}))
    prior = CodePrior(model, random_state=seed, **training.get_params())
    if resume:
        given = (model, training, seed) != (DEFAULT_MODEL, DEFAULT_TRAINING, 0)
        require(not given, "--resume keeps the settings that the prior was started with; leave the others out")
        require(folder.started, f"{folder.path} does not exist, so there is nothing to resume; leave out --resume")
        prior = CodePrior.from_description(folder.params)
    else:
        folder.require_free()
        require(overwrite or not folder.started, f"{folder.path} exists; give --resume or --overwrite")
    note(f"learning the distribution of the codes of {len(train):,} training images ...")
    try:
        with Bar() as bar:
            watchers = [bar, Log(folder.path / "train.log")]
            autoencoder.fit_prior(train.images, train.label_names, prior, run=folder, watchers=watchers)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"resume with: {folder.resume_command()}" if folder.begun else "") from error
    print(folder.path)
