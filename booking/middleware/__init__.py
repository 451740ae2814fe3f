"""What every request passes on its way in and out, in the order in which ``app`` lists it."""
