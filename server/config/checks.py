"""What settings are checked by."""

from __future__ import annotations

import ipaddress

from engine.errors import ConfigError


def check_network(name: str, network: str) -> None:
    """Refuse what is neither an address nor a network.

    Raises:
        ConfigError: It names the setting, the value and what may be there.
    """
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise ConfigError(
            f"{name} has {network!r}, which is neither an address nor a network such as "
            f"10.0.0.0/8: {error}",
            param=name,
        ) from None


def within(name: str, value: float, least: float, most: float) -> None:
    """Refuse a number out of its bounds, both of which are allowed.

    Raises:
        ConfigError: It names the setting, the value and the bounds.
    """
    if not least <= value <= most:  # NaN is in no range
        raise ConfigError(f"{name} is {value!r}; it must be from {least} to {most}", param=name)
