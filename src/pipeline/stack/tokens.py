"""Tokens of a secured local stack: signed by a key of its own, and verified by the registry without anybody's help.

```
<data_dir>/secrets/
  tokens.key       the key that signs
  <user>.token     a JSON Web Token of this user (RS256)
```

A token names its user and his roles. It is made once, and anew when its key is another or it ends within RENEW_BEFORE.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pipeline.stack.credentials import CERTIFICATE_DAYS, CLOCK_SKEW, RENEW_BEFORE, write_private

ISSUER = "pipeline local stack"
KEY_BITS = 2_048
"""RSA, since the registry takes no other key by itself."""


_making = Lock()  # parts are prepared side by side


class Tokens:
    """The tokens in a folder of secrets; nothing is created before `make`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key_file = folder / "tokens.key"

    def make(self, roles: Mapping[str, str]) -> None:
        """Make what is missing: the key, and a token for each {user: role}."""
        with _making:
            self._make(roles)

    def _make(self, roles: Mapping[str, str]) -> None:
        if not self._key_file.exists():
            key = rsa.generate_private_key(65_537, KEY_BITS)
            write_private(self._key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        for user, role in roles.items():
            if not self._is_good(user, role):
                write_private(self.file(user), f"{self._issue(user, role)}\n".encode())

    def file(self, user: str) -> Path:
        """The file with a user's token."""
        return self.folder / f"{user}.token"

    def token(self, user: str) -> str:
        """A user's token."""
        return self.file(user).read_text("ascii").strip()

    @property
    def public_key(self) -> str:
        """The key that verifies, DER in base 64."""
        der = self._key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()

    def _key(self) -> rsa.RSAPrivateKey:
        key = load_pem_private_key(self._key_file.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def _issue(self, user: str, role: str) -> str:
        now = int(time.time() - CLOCK_SKEW.total_seconds())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "upn": user,
            "groups": [role],
            "iat": now,
            "exp": now + CERTIFICATE_DAYS * 86_400,
            "jti": secrets.token_hex(8),
        }
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return f"{signed}.{_base64(self._key().sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def _is_good(self, user: str, role: str) -> bool:
        try:
            signed, _, signature = self.token(user).rpartition(".")
            self._key().public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), SHA256())
            claims = json.loads(_decoded(signed.partition(".")[2]))
            ends = int(claims["exp"])
        except (OSError, ValueError, KeyError, InvalidSignature):
            return False
        return claims["groups"] == [role] and ends - time.time() > RENEW_BEFORE.total_seconds()


def _encoded(part: Mapping[str, object]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
