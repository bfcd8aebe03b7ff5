"""The state of the platform: SQLite for descriptions, a folder for parts of files."""
