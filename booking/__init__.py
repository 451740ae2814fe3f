"""A booking backend: seats, appointments and tickets, sold once each."""
