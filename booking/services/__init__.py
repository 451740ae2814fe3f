"""The use cases. Each owns its transaction, its lock order and its rules; HTTP is unknown here."""
