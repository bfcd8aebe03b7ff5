"""The environment variables that make dx and dxpy talk to this platform, and to no other."""

import json
from pathlib import Path

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
API_VARIABLES = (
    "DX_APISERVER_PROTOCOL",
    "DX_APISERVER_HOST",
    "DX_APISERVER_PORT",
    "DX_SECURITY_CONTEXT",
)


def is_foreign(variable: str) -> bool:
    """Tell whether a variable would lead the clients elsewhere: another login, or a proxy."""
    return variable.startswith("DX_") or variable.lower() in PROXIES


def api_environment(host: str, port: int, token: str) -> dict[str, str]:
    """Return the variables that lead dx and dxpy to one platform, as the holder of a token."""
    context = json.dumps({"auth_token_type": "Bearer", "auth_token": token})
    return dict(zip(API_VARIABLES, ("http", host, str(port), context), strict=True))


def client_environment(host: str, port: int, token: str, configuration: Path) -> dict[str, str]:
    """Return the variables that make dx and dxpy talk to one platform, and keep to it."""
    return api_environment(host, port, token) | {
        "DX_AUTHSERVER_HOST": f"http://{host}",
        "DX_AUTHSERVER_PORT": str(port),
        # A person's own login is neither read nor written.
        "DX_USER_CONF_DIR": str(configuration),
    }
