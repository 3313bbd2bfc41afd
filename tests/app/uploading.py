"""What tests of uploads share: a run to upload to, people with roles, and looks into the store."""

from __future__ import annotations

from typing import Any

import pytest

from db.access import Role
from db.blobs.store import Stored
from db.engine import Database
from tests.uploader import MIB, Refused, Uploader

MAKE = """mutation { createExperiment(input: {name: "run"}) { experiment { id } userErrors { code } } }"""
ARTIFACTS = (
    """query ($id: ID!) { node(id: $id) { ... on Experiment { artifacts { nodes { name status fileCount } } } } }"""
)
AUDIT = """query ($id: ID!) { node(id: $id) { ... on Experiment {
  auditEvents(first: 5, filter: {action: {in: [UPLOAD]}}) {
    nodes { action byteCount address actorName after } } } } }"""
ACCOUNT = """mutation ($input: CreateServiceAccountInput!) {
  createServiceAccount(input: $input) { serviceAccount { id } userErrors { code message path } } }"""
PLACE = """mutation ($input: CreateNamespaceInput!) {
  createNamespace(input: $input) { namespace { id } userErrors { code message path } } }"""
GRANT = """mutation ($input: GrantRoleInput!) {
  grantRole(input: $input) { grants { id } userErrors { code message path } } }"""
TOKEN = """mutation ($input: CreateTokenInput!) {
  createToken(input: $input) { secret userErrors { code message path } } }"""
PART = 5 * MIB
NOBODY = "upl_00000000000000000000000000000000"


async def artifacts(uploader: Uploader, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await uploader.ask(ARTIFACTS, id=run))["node"]["artifacts"]["nodes"]
    return found


async def somebody(admin: Uploader, role: Role, namespace: str) -> Uploader:
    """A program with one role."""
    account = await admin.change(ACCOUNT, name=f"{role.name}-{namespace}")
    actor = account["serviceAccount"]["id"]
    place = (await admin.change(PLACE, path=namespace))["namespace"]["id"]
    await admin.change(GRANT, actorId=actor, role=role.name, namespaceId=place)
    token = (await admin.change(TOKEN, actorId=actor))["secret"]
    return Uploader(admin.http, admin.endpoint, {"Authorization": f"Bearer {token}"})


async def refused(awaited: Any) -> str:
    with pytest.raises(Refused) as caught:
        await awaited
    return caught.value.code


async def new_run(uploader: Uploader) -> str:
    made: str = (await uploader.ask(MAKE))["createExperiment"]["experiment"]["id"]
    return made


async def kept(database: Database) -> list[Stored]:
    """All that lies in the store."""
    assert database.blobs is not None
    return [stored async for stored in database.blobs.keys()]  # noqa: SIM118 - no mapping


async def content(database: Database, stored: Stored) -> bytes:
    """The bytes of a blob, as the store has them."""
    assert database.blobs is not None
    return b"".join([piece async for piece in database.blobs.read(stored.key, 0, stored.size)])
