"""How much one client address may ask for: requests a second, and passwords that were wrong."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

MOST_CLIENTS = 10_000
SUBNET_BITS = 64
"""An IPv6 client has a whole subnet of addresses."""


class Buckets:
    """A token bucket for each client: `rate` tokens a second come in, at most `burst` are kept.

    The clients that asked longest ago are forgotten when there are more than MOST_CLIENTS.
    """

    def __init__(self, rate: float, burst: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock_s = clock_s
        self._found: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, client: str) -> int:
        """Take a token: 0, or the whole seconds to wait when there is none."""
        return self._seconds(client, 1.0)

    def wait_s(self, client: str) -> int:
        """The whole seconds to wait for a token, 0 when there is one; takes none."""
        return self._seconds(client, 0.0)

    def _seconds(self, client: str, cost: float) -> int:
        client = subnet(client)
        now_s = self._clock_s()
        with self._lock:
            tokens, then_s = self._found.pop(client, (self._burst, now_s))
            tokens = min(self._burst, tokens + (now_s - then_s) * self._rate)
            enough = tokens >= 1
            self._found[client] = (tokens - cost if enough else tokens, now_s)
            if len(self._found) > MOST_CLIENTS:
                self._found.popitem(last=False)
        return 0 if enough else max(1, math.ceil((1 - tokens) / self._rate))


def subnet(client: str) -> str:
    """What stands for a client: its address, or its subnet where it has many."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if address.version == 4:
        return client
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), SUBNET_BITS), strict=False))
