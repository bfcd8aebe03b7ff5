"""What drives a platform from a test: its process, the real clients, faults. See README.md."""
