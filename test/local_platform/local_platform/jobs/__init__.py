"""The jobs of a store: their states, what they wait for, and which of them run."""
