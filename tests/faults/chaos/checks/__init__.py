"""What must hold of every run. Each check is a function of the evidence, and bears its own name."""
