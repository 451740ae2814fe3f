"""The OpenAPI document: what routes, schemas and problems say already, and the words around it.

A new route gets its entry in ``operations``, a new field its sentence in ``descriptions``, a new
error class its place at the operations that can answer it. ``python -m booking openapi >
docs/openapi.json`` writes the committed copy. Tests fail on whatever of this was forgotten.
"""
