"""Model versions as files on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelbox.errors import ModelBoxError
from modelbox.resumption import connect, patiently
from modelbox.transfer import download, inside

if TYPE_CHECKING:
    from modelbox.configuration import Configuration

VERSION: Final = """query ($tag: ModelVersionBy!, $version: ModelVersionBy!) {
  tag: modelVersion(by: $tag) { ...V } version: modelVersion(by: $version) { ...V } }
fragment V on ModelVersion { id version artifacts(first: 100) { nodes {
  name allFiles { path size digest downloadUrl } } } }"""


@dataclass(frozen=True)
class Used:
    """A version whose files are here."""

    version: str
    folder: Path


def fetch(settings: Configuration, model: str, folder: Path | None) -> Used:
    """Fetch and verify a version's files, named as `model:tag` or `model:version`; a tag goes first.

    A model of another namespace than the one that is set has it before its name: `vision/cifar/resnet:prod`.

    Raises:
        ModelBoxError: `NO_SUCH_VERSION`; `BAD_NAME`; or what the server says.
    """
    name, _, which = model.rpartition(":")
    if not name or not which:
        raise ModelBoxError("BAD_NAME", f"Name a version as model:tag or model:version, not {model!r}.")
    server = connect(settings)
    namespace, _, name = name.rpartition("/")
    at = {"namespace": namespace or settings.namespace, "model": name}
    found = patiently(
        lambda: server.ask(VERSION, tag={"tag": {**at, "tag": which}}, version={"version": {**at, "version": which}})
    )
    version = found["tag"] or found["version"]
    if version is None:
        raise ModelBoxError("NO_SUCH_VERSION", f"There is no version {model} in {at['namespace']}.")
    place = folder or settings.folder / "fetched" / version["id"]
    artifacts = version["artifacts"]["nodes"]
    for artifact in artifacts:
        below = place if len(artifacts) == 1 else inside(place, artifact["name"])
        for file in artifact["allFiles"]:
            patiently(partial(download, server, file, inside(below, file["path"])))
    return Used(version["version"], place)
