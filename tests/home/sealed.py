"""Opens what a hub sealed in its state folder, by what is written of it in core/store/src/vault.rs and core/identity, with
other code than the hub's: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under a key that is derived from `keys.json`."""

import base64
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MAGIC = b"accord sealed 1\n"


def subkey(key, nonce):
    """HChaCha20 (2.2 there)."""
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def turn(value, by):
        return (value << by | value >> 32 - by) & 0xffffffff

    def quarter(a, b, c, d):
        for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = state[x] + state[y] & 0xffffffff
            state[z] = turn(state[z] ^ state[x], by)

    for _ in range(10):
        for at in range(4):
            quarter(at, 4 + at, 8 + at, 12 + at)
        for at in range(4):
            quarter(at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def key_of(folder, credential=None):
    """The key of the hub whose state folder it is."""
    secret = json.loads((folder / "keys.json").read_text())["statement"]["secret"].upper()
    statement = base64.b32decode(secret + "=" * (-len(secret) % 8))
    parts = [b"accord/vault/v1"] + ([credential] if credential else [])
    return hmac.new(statement, b"".join(struct.pack(">Q", len(part)) + part for part in parts), hashlib.sha256).digest()


def read(folder, name, key=None):
    """What is in a sealed file of a state folder, which has to be sealed."""
    sealed = (folder / name).read_bytes()
    assert sealed.startswith(MAGIC), f"{name} is not sealed: {sealed[:16]}"
    head, nonce, content = sealed[:24], sealed[24:48], sealed[48:]
    cipher = ChaCha20Poly1305(subkey(key or key_of(folder), nonce[:16]))
    return cipher.decrypt(bytes(4) + nonce[16:], content, head + name.encode())


def contents(folder):
    """All that is in the files of a state folder, sealed or not, by path."""
    name = lambda path: str(path.relative_to(folder))
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: read(folder, name(path)) if content.startswith(MAGIC) else content for path, content in files.items()}


def holding(folder, *secrets):
    """Files of a folder in which one of these can be read as they lie there."""
    secrets = [secret if isinstance(secret, bytes) else secret.encode() for secret in secrets]
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files
    return [path for path, content in files.items() if any(secret in content for secret in secrets)]
