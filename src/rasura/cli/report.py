"""``rasura report``"""

from __future__ import annotations

from pathlib import Path

import click

from ._output import emit, say

PASSPHRASE = "RASURA_PASSPHRASE"


@click.command(
    epilog="""\b
Example:
  rasura report runs/a
  rasura report runs/a --reveal --out private.html
  rasura report erased/ --sign key.pem
  rasura report erased/ --verify --public-key key.pub"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="The page [default: FOLDER/report.html].")
@click.option("--reveal", is_flag=True, help="Show extracted text unmasked, where the record holds it.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON instead of writing a page.")
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    default=None,
    metavar="KEY",
    help="Sign all files of FOLDER (openssl genpkey -algorithm ed25519 -out KEY makes a key).",
)
@click.option("--verify", is_flag=True, help="Check that nothing in FOLDER was changed since it was signed.")
@click.option(
    "--public-key", type=click.Path(path_type=Path), default=None, help="With --verify: the signer's key, in PEM form."
)
def report(
    folder: Path,
    out: Path | None,
    reveal: bool,
    as_json: bool,
    sign: Path | None,
    verify: bool,
    public_key: Path | None,
) -> None:
    """Turn the records in FOLDER into one self-contained page that works offline.

    --sign also signs the page and everything else in FOLDER (a model's weights too); a key's passphrase is asked for, or
    read from RASURA_PASSPHRASE. --verify writes nothing: exit code 0, or 2 and one line that names what was changed.
    """

    from rasura.report import records_in, write_report

    _one_thing(out, reveal, as_json, sign, verify, public_key)
    if verify:
        _verify(folder, public_key, as_json)
    elif as_json:
        found = records_in(folder)
        emit(
            [{"record": type(r).__name__, "verdict": getattr(r, "verdict", getattr(r, "outcome", ""))} for r in found],
            True,
        )
    elif sign is None:
        say(str(write_report(folder, out, reveal=reveal)))
    else:
        _sign(folder, out, reveal, sign)


def _one_thing(
    out: Path | None, reveal: bool, as_json: bool, sign: Path | None, verify: bool, public_key: Path | None
) -> None:
    if public_key is not None and not verify:
        raise click.UsageError("--public-key goes with --verify")
    if verify and (sign is not None or out is not None or reveal):
        raise click.UsageError("--verify changes nothing: no --sign, --out or --reveal with it")
    if sign is not None and as_json:
        raise click.UsageError("--sign writes the page and signs it; --json writes none")


def _sign(folder: Path, out: Path | None, reveal: bool, key: Path) -> None:
    from rasura.report import signing, write_report

    private = signing.private_key(key, _passphrase, folder)  # a wrong key costs no page
    say(str(write_report(folder, out, reveal=reveal)))
    signed = signing.sign(folder, private)
    say(f"{folder / signing.NAME}: {len(signed.files)} files signed, key fingerprint {signed.fingerprint}")


def _verify(folder: Path, public_key: Path | None, as_json: bool) -> None:
    from rasura.report import signing

    signed = signing.check(folder, public_key)
    if as_json:
        emit({"unchanged": True, "fingerprint": signed.fingerprint, "key_known": signed.known, "files": dict(signed.files)}, True)  # fmt: skip
        return
    unchanged = f"{folder}: {len(signed.files)} files unchanged since they were signed"
    if signed.known:
        say(f"{unchanged} by {public_key} (fingerprint {signed.fingerprint})")
    else:
        say(
            f"{unchanged} by the key inside, fingerprint {signed.fingerprint}\n"
            "whose key that is, this does not say: compare the fingerprint, or pass --public-key"
        )


def _passphrase() -> str:
    """From the environment, or asked for at the terminal."""
    import os
    import sys

    from rasura.core.errors import BadInput

    if PASSPHRASE in os.environ:
        return os.environ[PASSPHRASE]
    if not sys.stdin.isatty():
        raise BadInput(f"the key has a passphrase: set {PASSPHRASE}, or run where it can be asked for")
    return click.prompt("passphrase of the key", hide_input=True, err=True)
