"""What the API says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from booking.openapi.operation import JSON_TYPE, Operation, Success

TAG = "Documentation"

_TEXT = {"schema": {"type": "string"}}
_HEADERS = ("ETag", "Cache-Control")

OPERATIONS: Mapping[str, Operation] = {
    "get_document": Operation(
        tag=TAG,
        summary="Read this document",
        description="The OpenAPI 3.1 document of this API, as the server serves it.",
        success=Success(
            "The document.", {JSON_TYPE: {"schema": {"type": "object"}}}, headers=_HEADERS
        ),
        is_revalidated=True,
    ),
    "get_page": Operation(
        tag=TAG,
        summary="Read and try the API in a browser",
        description="A page that shows this document and sends requests. It loads nothing else.",
        success=Success("The page.", {"text/html": _TEXT}, headers=_HEADERS),
        is_revalidated=True,
    ),
    "get_page_file": Operation(
        tag=TAG,
        summary="Read a file of the page",
        description="The styles and scripts of `/docs`.",
        success=Success(
            "The file.", {"text/css": _TEXT, "text/javascript": _TEXT}, headers=_HEADERS
        ),
        is_revalidated=True,
    ),
}
