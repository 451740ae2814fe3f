"""The hot path: seats taken, held, confirmed, given back."""
