"""Reads OpenAPI documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return each operation with its path and its method."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def resolve(document: Mapping[str, Any], node: Any) -> Any:
    """Return what a reference within the document leads to; anything else as it is."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node
