"""Runs one job as a worker of the service would: knows neither the store nor the API."""
