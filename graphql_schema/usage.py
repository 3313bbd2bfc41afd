"""What a namespace keeps in the store of files."""

from __future__ import annotations

from dataclasses import dataclass

import strawberry

from db.blobs import usage
from db.read import derived as row
from db.read.derived import Single
from db.read.plan import Plan
from graphql_schema.fields import computed
from graphql_schema.scalars import SafeInt
from graphql_schema.selection import Selected


@strawberry.type(
    description="What a namespace and all below it keep in the store of files. What was deleted counts until its files"
    " are forgotten, `MODELBOX_DELETED_FILES_DAYS` later; tracked files, which lie elsewhere, never count."
)
class Usage:
    file_count: SafeInt = computed("How many stored files there are.", row.number("file_count"))
    file_bytes: SafeInt = computed("The sum of their sizes, in bytes.", row.number("file_bytes"))
    stored_bytes: SafeInt = computed(
        "The same in which bytes that several of them consist of count once; what the store really holds for it.",
        row.number("stored_bytes"),
    )
    upload_bytes: SafeInt = computed(
        "The whole size of uploads that are under way, in bytes, however much of them is there.",
        row.number("upload_bytes"),
    )
    quota_bytes: SafeInt | None = computed(
        "The most that `storedBytes` and `uploadBytes` may come to, in bytes; see `setStorageQuota`. Null: as much as"
        " the namespaces above it let it.",
        row.number("quota_bytes"),
    )


@dataclass(frozen=True)
class UsageRead:
    """The usage of the namespace around it."""

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(1):
            return Single(usage.of_namespace, selected.object())
