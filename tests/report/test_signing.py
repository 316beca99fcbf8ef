"""Signed folders: what was signed passes, any other byte does not, and every reason is one line."""

from __future__ import annotations

import shutil
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura.cli import main
from rasura.core.errors import BadInput, BadSignature
from rasura.core.records import write
from rasura.report import signing, write_report

OPENSSL = shutil.which("openssl")
FILES = ("erasure.json", "model.safetensors", "report.html", "unet/config.json")
BROKEN = (BadSignature, BadInput)

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="keys are made with openssl, as users make them")


def openssl(*words) -> bytes:
    return subprocess.run([OPENSSL, *map(str, words)], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with keys as the README says to make them: one's own, another's, one with a passphrase, one of another kind."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", place / f"{name}.pem")
        openssl("pkey", "-in", place / f"{name}.pem", "-pubout", "-out", place / f"{name}.pub")
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:open sesame", "-out", place / "locked.pem")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", place / "ec.pem")
    openssl("pkey", "-in", place / "ec.pem", "-pubout", "-out", place / "ec.pub")
    return place


def fill(made, folder):
    """An erased model's folder: record, page, weights, one file further down, and a hidden one."""
    write(made.erasure(), folder / "erasure.json")
    write_report(folder)
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text("{}")
    (folder / ".hidden").write_text("not signed")
    return folder


@pytest.fixture
def run(made, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return fill(made, folder)


@pytest.fixture(scope="module")
def signed(made, keys, tmp_path_factory):
    """A signed folder for tests that put back whatever they change."""
    folder = fill(made, tmp_path_factory.mktemp("signed"))
    signing.sign(folder, keys / "mine.pem")
    return folder


def rasura(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    out = capsys.readouterr()
    return end.value.code or 0, out.out, out.err


def test_signed_and_checked_with_the_commands_users_type(run, keys, capsys):
    code, out, _ = rasura(capsys, "report", run, "--sign", keys / "mine.pem")
    assert code == 0 and f"{len(FILES)} files signed" in out
    code, out, _ = rasura(capsys, "report", run, "--verify", "--public-key", keys / "mine.pub")
    assert code == 0 and "mine.pub" in out and "this does not say" not in out
    code, out, _ = rasura(capsys, "report", run, "--verify")
    assert code == 0 and "by the key inside" in out and "this does not say" in out
    assert rasura(capsys, "report", run)[0] == 0, "the page made again is the same page"
    assert rasura(capsys, "report", run, "--verify")[0] == 0
    assert stat.S_IMODE((run / signing.NAME).stat().st_mode) == 0o600


def test_the_fingerprint_is_the_one_openssl_gives(run, keys):
    import hashlib

    signed = signing.sign(run, keys / "mine.pem")
    der = openssl("pkey", "-pubin", "-in", keys / "mine.pub", "-outform", "DER")
    assert signed.fingerprint == hashlib.sha256(der).hexdigest()
    assert set(signed.files) == set(FILES)


def test_the_same_folder_and_key_give_the_same_signature(run, keys):
    signing.sign(run, keys / "mine.pem")
    first = (run / signing.NAME).read_bytes()
    signing.sign(run, keys / "mine.pem")
    assert (run / signing.NAME).read_bytes() == first


def edits() -> st.SearchStrategy:
    """(where, how many bytes go, what comes): flips, insertions, deletions, replacements."""
    return st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8))


def edited(content: bytes, edit) -> bytes:
    at = int(edit[0] * len(content))
    return content[:at] + edit[2] + content[at + edit[1] :]


@pytest.mark.parametrize("name", [*FILES, signing.NAME])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(edit=edits())
def test_any_changed_byte_fails(signed, keys, name, edit):
    content = (signed / name).read_bytes()
    other = edited(content, edit)
    try:
        (signed / name).write_bytes(other)
        if other == content:
            signing.check(signed, keys / "mine.pub")
        else:
            for key in (None, keys / "mine.pub"):
                with pytest.raises(BROKEN) as error:
                    signing.check(signed, key)
                assert "\n" not in str(error.value)
    finally:
        (signed / name).write_bytes(content)


def test_every_byte_of_the_signature_and_the_public_key(signed, keys, tmp_path):
    for place, key in ((signed / signing.NAME, keys / "mine.pub"), (tmp_path / "key.pub", tmp_path / "key.pub")):
        whole = place.read_bytes() if place.exists() else (keys / "mine.pub").read_bytes()
        try:
            for at in range(len(whole)):
                changed = bytearray(whole)
                changed[at] ^= (1, 32)[at % 2]  # 32: upper for lower case
                place.write_bytes(changed)
                with pytest.raises(BROKEN):
                    signing.check(signed, key)
        finally:
            place.write_bytes(whole)
        assert signing.check(signed, key).known


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(edit=edits())
def test_no_other_public_key_file_passes(signed, keys, tmp_path, edit):
    whole = (keys / "mine.pub").read_bytes()
    (tmp_path / "key.pub").write_bytes(edited(whole, edit))
    if edited(whole, edit) != whole:
        with pytest.raises(BROKEN):
            signing.check(signed, tmp_path / "key.pub")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(edit=edits())
def test_a_changed_private_key_is_refused_or_is_another_key(keys, tmp_path, edit):
    """Bytes around a PEM block are comments to every reader of keys: they make no other key."""
    whole = (keys / "mine.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(edited(whole, edit))
    try:
        key = signing.private_key(tmp_path / "key.pem")
    except BadInput as error:
        assert "\n" not in str(error)
        return
    inside = edited(whole, edit).split(b"-----")[2].split()
    mine = signing.private_key(keys / "mine.pem")
    assert (key.private_bytes_raw() == mine.private_bytes_raw()) == (b"".join(inside) == b"".join(whole.split(b"-----")[2].split()))  # fmt: skip


CHANGES = {
    "a file added": (lambda f: (f / "verification.json").write_text("{}"), "verification.json: added since"),
    "a file added further down": (lambda f: (f / "unet" / "x.bin").write_text("{}"), "x.bin: added since"),
    "a file missing": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: missing since"),
    "a file renamed": (lambda f: (f / "model.safetensors").rename(f / "m.safetensors"), "model.safetensors: missing"),
    "a file replaced": (lambda f: (f / "model.safetensors").write_text("other"), "model.safetensors: changed since"),
    "two files swapped": (lambda f: swap(f / "erasure.json", f / "model.safetensors"), "erasure.json: changed since"),
    "a folder linked": (lambda f: (f / "link").symlink_to(f / "unet"), "a link to a folder"),
    "the signature gone": (lambda f: (f / signing.NAME).unlink(), "not signed"),
    "the signature emptied": (lambda f: (f / signing.NAME).write_text(""), "does not fit"),
    "another's signature": (lambda f: (f / signing.NAME).write_text("[1]\n"), "does not fit"),
    "a signature with a space": (lambda f: spaced(f / signing.NAME), "does not fit"),
}


def swap(a, b):
    contents = a.read_bytes(), b.read_bytes()
    b.write_bytes(contents[0])
    a.write_bytes(contents[1])


def spaced(place):
    place.write_bytes(place.read_bytes().replace(b":", b": ", 1))


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_what_was_done_to_the_folder_is_named(run, keys, capsys, change, said):
    signing.sign(run, keys / "mine.pem")
    change(run)
    code, out, err = rasura(capsys, "report", run, "--verify", "--public-key", keys / "mine.pub")
    assert code == 2 and said in err and err.count("\n") == 1 and not out


KEYS = {
    "another's key": (("--verify", "--public-key"), "other.pub", "not signed by"),
    "no such key": (("--verify", "--public-key"), "none.pub", "cannot be read (No such file"),
    "a folder as key": (("--verify", "--public-key"), ".", "cannot be read"),
    "a private key to check": (("--verify", "--public-key"), "mine.pem", "a private key, which nobody needs"),
    "a key of another kind to check": (("--verify", "--public-key"), "ec.pub", "not an Ed25519 public key"),
    "a public key to sign": (("--sign",), "mine.pub", "openssl genpkey -algorithm ed25519"),
    "a key of another kind": (("--sign",), "ec.pem", "openssl genpkey -algorithm ed25519"),
    "no such key to sign": (("--sign",), "none.pem", "cannot be read"),
    "a key whose passphrase nobody gave": (("--sign",), "locked.pem", "RASURA_PASSPHRASE"),
    "sign and verify": (("--verify", "--sign"), "mine.pem", "--verify changes nothing"),
    "a public key and nothing to check": (("--public-key",), "mine.pub", "goes with --verify"),
}


@pytest.mark.parametrize(("words", "key", "said"), KEYS.values(), ids=KEYS)
def test_keys_that_do_not_fit_are_one_line(run, keys, capsys, monkeypatch, words, key, said):
    monkeypatch.delenv("RASURA_PASSPHRASE", raising=False)
    signing.sign(run, keys / "mine.pem")
    before = (run / signing.NAME).read_bytes()
    code, _, err = rasura(capsys, "report", run, *words, keys / key)
    assert code == 2 and said in err and err.count("\n") == 1
    assert (run / signing.NAME).read_bytes() == before


def test_a_key_with_a_passphrase(run, keys, capsys, monkeypatch):
    monkeypatch.setenv("RASURA_PASSPHRASE", "open sesame")
    assert rasura(capsys, "report", run, "--sign", keys / "locked.pem")[0] == 0
    assert rasura(capsys, "report", run, "--verify")[0] == 0
    monkeypatch.setenv("RASURA_PASSPHRASE", "open barley")
    code, _, err = rasura(capsys, "report", run, "--sign", keys / "locked.pem")
    assert code == 2 and "the passphrase does not open this key" in err


def test_a_private_key_in_the_folder_is_not_handed_on(run, keys):
    shutil.copy(keys / "mine.pem", run / "mine.pem")
    with pytest.raises(BadInput, match="keep it elsewhere"):
        signing.sign(run, run / "mine.pem")


def test_a_signature_of_ones_own_does_not_pass_for_anothers(run, keys):
    """Whoever changes a record can sign it again, and is then not the one who was asked for."""
    signing.sign(run, ed25519.Ed25519PrivateKey.generate())
    assert not signing.check(run).known
    with pytest.raises(BadSignature, match="not signed by"):
        signing.check(run, keys / "mine.pub")
