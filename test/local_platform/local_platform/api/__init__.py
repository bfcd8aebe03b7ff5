"""What each method of the API does to the store: one resource a file."""
