"""Runs on the Hugging Face hub: the files of a run by name, and no others, are sent and fetched.

A stranger's repository can hold anything. What is fetched is JSON, CSV and safetensors, under names that stand here, so
that nothing leaves the folder and nothing is code.
"""

import re
from pathlib import Path

from latently.common.errors import InputError, require, require_extra

PREFIX = "hf://"
PARTS = ("", "prior/", "encoder/", "encoder/prior/", "classifier/")
FILES = ("params.json", "model.safetensors", "mixture.safetensors", "history.csv", "metrics.json")
NAMES = [part + file for part in PARTS for file in FILES]
CARD = "README.md"  # what the hub shows


def parsed(address: str) -> tuple[str, str | None]:
    """The repository of an address, and its revision. Raises InputError for anything else.

    >>> parsed("hf://owner/name"), parsed("owner/name@v1")
    (('owner/name', None), ('owner/name', 'v1'))
    """
    found = re.fullmatch(r"(?:hf://)?(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w./-]*))?", address, re.ASCII)
    require(found is not None, f"{address!r} is no repository of the Hugging Face hub; expected owner/name")
    assert found
    return found[1], found[2]


def fetched(address: str) -> Path:
    """The folder in the hub's cache with the run of hf://owner/name, or hf://owner/name@revision. Raises InputError if
    it cannot be had."""
    repository, revision = parsed(address)
    require_extra("hub", "huggingface_hub")
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=NAMES))
    except Exception as error:  # of the network, of the hub, of its client: kinds that change with its version
        why = f"is not to be had from the Hugging Face hub ({first_line(error)})"
        raise InputError(f"{address} {why}; check the name and the connection") from error


def send(folder: Path, to: str, private: bool) -> str:
    """Make the repository owner/name if there is none, and its files those of `folder`. -> its address"""
    repository, revision = parsed(to)
    require(revision is None, f"--to is {to!r}; expected owner/name, without a revision")
    require_extra("hub", "huggingface_hub")
    import huggingface_hub

    api = huggingface_hub.HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        about = "A run of latently"
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=about, delete_patterns=NAMES)
    except Exception as error:
        hint = "log in with `hf auth login`, with a token that may write, and check the name and the connection"
        raise InputError(f"the Hugging Face hub did not take {repository} ({first_line(error)}); {hint}") from error
    return str(address)


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
