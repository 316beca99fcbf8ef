"""The records of a folder, and everything beside them, signed with an Ed25519 key: any changed byte shows.

``rasura.sig`` in the folder is one line of JSON: format, public key, SHA-256 of every file by name, and the signature

    Ed25519(private key, "rasura signature 1\\n" + the line without its signature)

in the one way it can be written (sorted keys, no spaces, lower-case hexadecimals), so that no byte of it can change
either. Signed is every file under the folder, a model's weights and the page included, but hidden ones and the signature.
It says that nothing was changed, added or removed since the holder of the key signed; not when, and without a public key
from elsewhere not who.

Source: Josefsson and Liusvaara, "Edwards-curve digital signature algorithm (EdDSA)", RFC 8032, 2017.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasura.core.errors import BadInput, BadSignature, MissingDependency
from rasura.core.records import write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NAME = "rasura.sig"
FORMAT = 1
MAKE = "openssl genpkey -algorithm ed25519 -out key.pem"
MAKE_PUBLIC = "openssl pkey -in key.pem -pubout -out key.pub"
LARGEST_KEY = 1 << 16  # bytes; one of Ed25519 has some 120
LARGEST_SIGNATURE = 1 << 26


@dataclass(frozen=True)
class Signed:
    """What a signature says. ``fingerprint``: SHA-256 of the public key in DER, as hexadecimals."""

    fingerprint: str
    files: Mapping[str, str]  # name below the folder -> SHA-256
    known: bool  # the key is one that was given; else the one in the signature, which anybody can have made


def sign(folder: Path, key: Path | Ed25519PrivateKey, ask: Callable[[], str] | None = None) -> Signed:
    """Sign everything in ``folder`` and write ``rasura.sig`` there.

    ``key``: a private key, or the PEM file of one. ``ask`` gives the passphrase, and is called only for a key that has
    one. Raises BadInput (no folder or nothing in it, a key that cannot be used or lies in the folder), MissingDependency.
    """
    folder = Path(folder)
    private = private_key(Path(key), ask, folder) if isinstance(key, (str, Path)) else key
    files = digests(folder)
    if not files:
        raise BadInput(f"{folder}: nothing to sign")
    said = {"files": files, "format": FORMAT, "key": raw(private.public_key()).hex()}
    line = _line({**said, "signature": private.sign(_message(said)).hex()})
    try:
        write_whole(folder / NAME, line)
    except OSError as error:
        raise BadInput(f"{folder / NAME}: cannot be written ({error.strerror})") from None
    return Signed(fingerprint(private.public_key()), files, True)


def check(folder: Path, key: Path | None = None) -> Signed:
    """What the signature of ``folder`` says, when every byte is as it was signed.

    ``key``: the signer's public key, a PEM file from elsewhere. Raises BadSignature (a file or the signature changed,
    files added or missing, another key), BadInput (no folder, no signature, an unusable key), MissingDependency.
    """
    folder = Path(folder)
    given = None if key is None else public_key(key)
    said, inside = _opened(folder / NAME)
    if given is not None and raw(given) != raw(inside):
        raise BadSignature(
            f"{folder}: not signed by {key} (fingerprint {fingerprint(given)}) "
            f"but by the key of fingerprint {fingerprint(inside)}"
        )
    found, files = digests(folder), said["files"]
    for what, names in (
        ("changed", [name for name in files if name in found and found[name] != files[name]]),
        ("missing", [name for name in files if name not in found]),
        ("added", [name for name in found if name not in files]),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise BadSignature(f"{folder / names[0]}: {what} since the folder was signed{more}")
    return Signed(fingerprint(inside), files, given is not None)


def _opened(place: Path) -> tuple[dict[str, Any], Ed25519PublicKey]:
    """(what was signed, the key inside) of a signature that is as its key made it."""
    ed25519, _ = _library()
    from cryptography.exceptions import InvalidSignature

    changed = BadSignature(f"{place}: the signature does not fit: it was changed since it was made")
    try:
        said = json.loads(line := _small(place, LARGEST_SIGNATURE))
        if not isinstance(said, dict) or line != _line(said):
            raise changed
        signature, inside = _bytes(said.pop("signature")), _bytes(said["key"])
        key = ed25519.Ed25519PublicKey.from_public_bytes(inside)
        key.verify(signature, _message(said))
    except FileNotFoundError:
        raise BadInput(
            f"{place}: no such file, so this folder is not signed; sign with: rasura report --sign"
        ) from None
    except OSError as error:
        raise BadInput(f"{place}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature):
        raise changed from None
    if said.get("format") != FORMAT or not isinstance(said.get("files"), dict):
        raise BadInput(f"{place}: signature format {said.get('format')!r}, this version reads format {FORMAT}")
    return said, key


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what is signed, by name below ``folder``. Raises BadInput where something cannot be read."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; a signature is over the folder of a run or of an erased model")
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or name.as_posix() == NAME:
            continue
        try:
            if path.is_dir() and not path.is_symlink():
                continue
            if not path.is_file():
                raise BadInput(f"{path}: neither a file nor a folder (a link to a folder?), so it cannot be signed")
            with open(path, "rb") as stream:
                found[name.as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    return found


def private_key(place: Path, ask: Callable[[], str] | None = None, away_from: Path | None = None) -> Ed25519PrivateKey:
    """An Ed25519 private key from a PEM file that is not in the folder to be signed, which is handed on. Raises BadInput."""
    if away_from is not None and place.resolve().is_relative_to(away_from.resolve()):
        raise BadInput(f"{place}: a private key in the folder that is handed on; keep it elsewhere")
    ed25519, serialization = _library()
    content, unusable = _key_bytes(place), f"not an Ed25519 private key in PEM form; make one with: {MAKE}"
    try:
        try:
            key = serialization.load_pem_private_key(content, None)
        except TypeError:  # it has a passphrase
            if ask is None:
                raise BadInput(f"{place}: this key has a passphrase, and none was given") from None
            unusable = "the passphrase does not open this key"
            key = serialization.load_pem_private_key(content, ask().encode())
    except BadInput:
        raise
    except Exception:  # the library raises a dozen kinds for bytes that are no key
        raise BadInput(f"{place}: {unusable}") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BadInput(f"{place}: {unusable}")
    return key


def public_key(place: Path) -> Ed25519PublicKey:
    """An Ed25519 public key from a PEM file, byte for byte as openssl writes it. Raises BadInput."""
    ed25519, serialization = _library()
    content = _key_bytes(place)
    if b"PRIVATE KEY" in content:
        raise BadInput(f"{place}: a private key, which nobody needs to check; its public half: {MAKE_PUBLIC}")
    try:
        key = serialization.load_pem_public_key(content)
        if not isinstance(key, ed25519.Ed25519PublicKey) or _pem(key) != content:
            raise ValueError
    except Exception:  # the library raises a dozen kinds for bytes that are no key
        raise BadInput(f"{place}: not an Ed25519 public key as openssl writes it: {MAKE_PUBLIC}") from None
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """What ``openssl pkey -pubin -in key.pub -outform DER | sha256sum`` prints."""
    _, serialization = _library()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def raw(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes."""
    return key.public_bytes_raw()


def _pem(key: Ed25519PublicKey) -> bytes:
    _, serialization = _library()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key_bytes(place: Path) -> bytes:
    try:
        return _small(Path(place), LARGEST_KEY)
    except OSError as error:
        raise BadInput(f"{place}: this key cannot be read ({error.strerror})") from None


def _small(place: Path, most: int) -> bytes:
    with open(place, "rb") as stream:
        content = stream.read(most + 1)
    return content if len(content) <= most else b""  # which is neither a key nor a signature


def _bytes(digits: str) -> bytes:
    """Of hexadecimals in the one way we write them: "AB" for "ab" would be a changed byte that nobody sees."""
    content = bytes.fromhex(digits)
    if content.hex() != digits:
        raise ValueError(digits)
    return content


def _message(said: Mapping[str, Any]) -> bytes:
    return b"rasura signature 1\n" + _line(said)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingDependency("signing records", "cryptography", "sign") from None
    return ed25519, serialization
