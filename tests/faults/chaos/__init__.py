"""Faults under load: what is recorded, and what the record and the tables together must say."""
