"""HTTP: calls and their answers, bytes, logs, and what a browser may do."""
