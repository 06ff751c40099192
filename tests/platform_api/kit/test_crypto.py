"""Encryption at rest: bound to its place, changed by nobody, under several keys at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_api.kit.crypto import NONCE_BYTES, Cipher, DecryptionFailed, Sealed
from platform_api.settings import AuthSettings

OLD, NEW = "0f" * 32, "a1" * 32


@given(st.binary(max_size=200), st.text(max_size=50))
def test_what_is_sealed_opens_at_its_place_alone(plain: bytes, place: str) -> None:
    cipher = Cipher(NEW)
    sealed = cipher.seal(plain, place=place)
    assert cipher.open(sealed, place=place) == plain
    with pytest.raises(DecryptionFailed):
        cipher.open(sealed, place=place + "x")


def test_every_message_has_a_nonce_of_its_own() -> None:
    cipher = Cipher(NEW)
    sealed = [cipher.seal(b"same", place="here") for _ in range(50)]
    assert len({each.nonce for each in sealed}) == len({each.ciphertext for each in sealed}) == 50
    assert {len(each.nonce) for each in sealed} == {NONCE_BYTES} == {12}


@pytest.mark.parametrize("field", ["ciphertext", "nonce"])
def test_one_changed_bit_is_noticed(field: str) -> None:
    cipher = Cipher(NEW)
    sealed = cipher.seal(b"secret", place="here")
    whole = getattr(sealed, field)
    changed = bytes([whole[0] ^ 1]) + whole[1:]
    parts = {"ciphertext": sealed.ciphertext, "nonce": sealed.nonce} | {field: changed}
    with pytest.raises(DecryptionFailed):
        cipher.open(Sealed(**parts, key_version=sealed.key_version), place="here")


def test_former_keys_still_open_and_the_newest_seals() -> None:
    before, after = Cipher(OLD), Cipher(NEW, [OLD])
    kept = before.seal(b"secret", place="here")
    assert after.open(kept, place="here") == b"secret"
    assert after.seal(b"secret", place="here").key_version == Cipher(NEW).newest != before.newest
    assert after.versions == {before.newest, after.newest}
    with pytest.raises(DecryptionFailed, match="ENCRYPTION_KEYS_OLD"):
        Cipher(NEW).open(kept, place="here")


def test_a_version_fits_its_column_and_is_the_same_in_every_process() -> None:
    assert Cipher(OLD).newest == Cipher(OLD.upper()).newest
    assert 0 <= Cipher(OLD).newest < 2**31


def test_packed_values_carry_what_they_need() -> None:
    packed = Cipher(OLD).pack(b"answer", place="here")
    assert Cipher(NEW, [OLD]).unpack(packed, place="here") == b"answer"


@pytest.mark.parametrize("packed", [b"", b"abc", b"\0" * 40, None])
def test_what_was_never_packed(packed: bytes | None) -> None:
    cipher = Cipher(OLD)
    broken = cipher.pack(b"answer", place="here")[:18] if packed is None else packed
    with pytest.raises(DecryptionFailed):
        cipher.unpack(broken, place="here")


def test_the_cipher_of_the_settings() -> None:
    settings = AuthSettings(
        access_secret="a" * 40, refresh_secret="r" * 40, encryption_key=NEW, encryption_keys_old=(OLD,)
    )
    assert Cipher.of(settings).versions == {Cipher(OLD).newest, Cipher(NEW).newest}
    assert Cipher.of(settings).newest == Cipher(NEW).newest
