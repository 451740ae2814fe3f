"""HTTP: each blueprint parses, calls one service and dumps. No SQL and no rules."""
