"""What the tests of this folder share."""

pytest_plugins = ["platform_fixtures"]
