"""What requests, specifications and links must look like: pure, with neither store nor HTTP."""
