"""
Tests for L{bmff.keys}.
"""

from __future__ import annotations

import os
import re
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff import keys
from bmff.errors import ConfigurationError
from bmff.keys import Secrets, openSecrets

SECRET = "xK7marker9Qz"
GOOD = f"""
[homebrew]
hotspots = "{SECRET}"
"2345678" = "grün{SECRET}"
[fastforward]
group = {{key = "{"ab" * 32}"}}
pair = {{key = "{"CD" * 32}", nodes = [2501, 25011]}}
[registry]
bmnode = "{SECRET}"
[bridges]
other = "{SECRET}"
[tokens]
live = {{sha256 = "{"0f" * 32}", right = "control"}}
"""


class SecretsCase(SynchronousTestCase):
    """
    A test with a file of secrets.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "state" / "secrets.toml"
        self.path.parent.mkdir(parents=True)

    def write(self, text: str, mode: int = 0o600) -> None:
        """
        Put a file in place of the one that is there, as an editor does.
        """
        new = self.path.with_name("new")
        new.write_text(text, encoding="utf-8")
        new.chmod(mode)
        new.rename(self.path)

    def refusal(self) -> str:
        """
        Why the file cannot be loaded, with all that a traceback would show.
        """
        error = self.assertRaises(ConfigurationError, Secrets.load, self.path)
        return "".join(traceback.format_exception(error))

    def places(self, text: str) -> list[str]:
        """
        The places of the mistakes in a file.
        """
        self.write(text)
        error = self.assertRaises(ConfigurationError, Secrets.load, self.path)
        return [
            mistake.place.removeprefix(f"{self.path}").removeprefix(": ")
            for mistake in error.mistakes
        ]


class LoadTests(SecretsCase):
    """
    Loading.
    """

    def test_passwords(self) -> None:
        """
        A hotspot's password is found by its id, in UTF-8; an unknown id has none.
        """
        self.write(GOOD)
        secrets = Secrets.load(self.path)
        self.assertEqual(secrets.homebrewPassword("hotspots"), SECRET.encode())
        self.assertEqual(secrets.homebrewPassword("2345678"), f"grün{SECRET}".encode())
        self.assertIsNone(secrets.homebrewPassword("other"))
        self.assertEqual(secrets.registryPassword("bmnode"), SECRET)
        self.assertIsNone(secrets.registryPassword("hotspots"))
        (token,) = secrets.tokens().values()
        self.assertEqual((token.digest, token.right), (b"\x0f" * 32, "control"))
        self.assertIsNone(secrets.mistake)

    def test_shapes(self) -> None:
        """
        Every mistake is told at once, by its place, in the order of the file.
        """
        self.assertEqual(
            self.places(
                '[homebrew]\na = 5\nb = ""\nc = ["x"]\nd = {password = "x"}\n'
                '[fastforward]\ne = "x"\nf = {}\ng = {key = "ab"}\n'
                f'h = {{key = "{"ab" * 32}", nodes = [1, "2501"], node = 1}}\n'
                f'i = {{key = "{"gh" * 32}"}}\n'
                "[registry]\nn = 1\n[bridges]\nj = true\n[tokens]\nk = 1\n"
                f'l = {{sha256 = "ab"}}\nm = {{sha256 = "{"0f" * 32}", right = "all"}}\n'
                "[tokns]\n"
            ),
            [
                "",  # an unknown key, which is not named
                "homebrew.a",
                "homebrew.b",
                "homebrew.c",
                "homebrew.d",
                "fastforward.e",
                "fastforward.f.key",
                "fastforward.g.key",
                "fastforward.h",
                "fastforward.h.nodes[0]",
                "fastforward.h.nodes[1]",
                "fastforward.i.key",
                "registry.n",
                "bridges.j",
                "tokens.k",
                "tokens.l.sha256",
                "tokens.m.right",
            ],
        )

    def test_secretForAKey(self) -> None:
        """
        A secret that stands where an id should is not quoted, and every mistake names the file.
        """
        for text in (f'"{SECRET}" = "hotspots"\n', f'[fastforward.x]\n"{SECRET}" = 1\n'):
            self.write(text)
            self.assertNotIn(SECRET, self.refusal())
            error = self.assertRaises(ConfigurationError, Secrets.load, self.path)
            for mistake in error.mistakes:
                self.assertTrue(mistake.place.startswith(str(self.path)))

    def test_empty(self) -> None:
        """
        A file without a secret is a mistake: it may be one that is being written.
        """
        for text in ("", "# nothing\n", "[homebrew]\n[tokens]\n"):
            self.write(text)
            self.assertIn("holds no secret", self.refusal())

    def test_syntax(self) -> None:
        """
        What is not TOML is told by line and column, and nothing else.
        """
        self.write("[homebrew]\nhotspots = hunter2\n")
        self.assertIn("line 2, column 12: is not TOML", self.refusal())

    def test_missing(self) -> None:
        """
        A file that is not there, and what is no file, are mistakes that say so.
        """
        self.assertIn("No such file", self.refusal())
        os.mkfifo(self.path, 0o600)
        self.assertIn("is not a file", self.refusal())
        self.path.unlink()
        self.path.mkdir(mode=0o700)
        self.assertIn("is not a file", self.refusal())


class PermissionsTests(SecretsCase):
    """
    Who else can read the file.
    """

    def test_allowed(self) -> None:
        """
        The file may be the owner's alone, or be read by a group of this process.
        """
        for mode in (0o600, 0o400, 0o640, 0o440):
            self.write(GOOD, mode)
            self.assertIsNotNone(Secrets.load(self.path).homebrewPassword("hotspots"), oct(mode))

    def test_refused(self) -> None:
        """
        A file that others can read or write is refused, with its path, its mode and what to type.
        """
        for mode in (0o644, 0o604, 0o602, 0o620, 0o660, 0o666, 0o777, 0o700, 0o4600):
            self.write(GOOD, mode)
            refusal = self.refusal()
            self.assertIn(f"mode {mode:04o}", refusal)
            self.assertIn(f"chmod 600 {self.path}", refusal)

    def test_otherGroup(self) -> None:
        """
        A group that this process is not in may not read the file.
        """
        self.write(GOOD, 0o640)
        owner = self.path.stat().st_uid or 4_000_003  # root's file is for everybody's node
        self.patch(os, "geteuid", lambda: owner)
        self.patch(os, "getegid", lambda: 4_000_001)
        self.patch(os, "getgroups", lambda: [4_000_002])
        self.assertIn("mode 0640", self.refusal())
        self.patch(os, "getgroups", lambda: [4_000_002, self.path.stat().st_gid])
        Secrets.load(self.path)
        self.write(GOOD, 0o600)
        Secrets.load(self.path)

    def test_owner(self) -> None:
        """
        The file belongs to the user of this process, or to root; else it is said who may read it,
        before it is said how to take it away from them.
        """
        self.write(GOOD)
        owner = self.path.stat().st_uid
        self.patch(os, "geteuid", lambda: owner + 1)
        if owner == 0:
            Secrets.load(self.path)
            os.chown(self.path, 4_000_001, -1)
            owner = 4_000_001
        name, me = keys._userName(owner), os.geteuid()
        self.assertIn(
            f"belongs to user {name}, and this process runs as {me}; run it as {name} or root, or, "
            f"if the nodes of this file run as {me}, type: sudo chown {me} {self.path}",
            self.refusal(),
        )

    def test_root(self) -> None:
        """
        Root reads the file of a service's user, as the user itself may have it, and no other.
        """
        self.patch(os, "geteuid", lambda: 0)
        self.patch(os, "getegid", lambda: 0)
        self.patch(os, "getgroups", lambda: [0])
        for mode in (0o600, 0o400, 0o640, 0o440):
            self.write(GOOD, mode)
            if self.path.stat().st_uid == 0:
                os.chown(self.path, 4_000_001, 4_000_001)
            self.assertIsNotNone(Secrets.load(self.path).homebrewPassword("hotspots"), oct(mode))
        self.path.chmod(0o644)
        self.assertIn("mode 0644", self.refusal())

    def test_names(self) -> None:
        """
        A user is told by name, or by number where the host does not know him.
        """
        self.assertEqual(keys._userName(0), "root")
        self.assertEqual(keys._userName(4_000_001), "4000001")

    def test_quoted(self) -> None:
        """
        What to type is quoted for a shell.
        """
        self.path = self.path.with_name("it's mine")
        self.write(GOOD, 0o644)
        error = self.assertRaises(ConfigurationError, Secrets.load, self.path)
        self.assertIn("""it'"'"'s mine'""", str(error))


class SecrecyTests(SecretsCase):
    """
    No secret leaves as text.
    """

    def test_repr(self) -> None:
        """
        What is shown of secrets is their file.
        """
        self.write(GOOD)
        secrets = Secrets.load(self.path)
        for text in (repr(secrets), str(secrets), f"{secrets}", repr(vars(secrets))):
            self.assertIn(str(self.path) if "Secrets" in text else "_Contents", text)
            self.assertNotIn(SECRET, text)
            self.assertNotIn("ab" * 4, text)
            self.assertNotIn("CD" * 4, text)

    @given(st.data())
    def test_mistakes(self, data: st.DataObject) -> None:
        """
        Whatever character is wrong in a file, no message has a secret, nor a part of one.
        """
        place = data.draw(st.integers(0, len(GOOD)))
        length = data.draw(st.integers(0, 3))
        wrong = data.draw(st.sampled_from(["", '"', "=", "[", "\\", "\n", "\x01", "{", "5", "'''"]))
        self.write(GOOD[:place] + wrong + GOOD[place + length :])
        try:
            secrets = Secrets.load(self.path)
        except ConfigurationError as error:
            told = "".join(traceback.format_exception(error))
        else:
            told = repr(secrets)
        for part in (SECRET[:5], SECRET[-5:], "abab", "CDCD"):
            self.assertNotIn(part, told)

    def test_encoding(self) -> None:
        """
        A file that is not UTF-8 is told by its line alone.
        """
        self.write("")
        self.path.write_bytes(f'[homebrew]\nhotspots = "{SECRET}\xfc"'.encode("latin-1"))
        refusal = self.refusal()
        self.assertIn("line 2: is not UTF-8", refusal)
        self.assertNotIn(SECRET, refusal)

    def test_shape(self) -> None:
        """
        A secret in a wrong place is not quoted.
        """
        for text in (
            f'homebrew = "{SECRET}"',
            f'[homebrew]\nhotspots = ["{SECRET}"]',
            f'[homebrew.hotspots]\npassword = "{SECRET}"',
            f'[fastforward]\ngroup = "{SECRET}"',
            f'[fastforward]\ngroup = {{key = "{SECRET}"}}',
            f'[fastforward]\ngroup = {{nodes = "{SECRET}", kye = "{SECRET}"}}',
            f'[other]\ngroup = "{SECRET}"',
        ):
            self.write(text)
            self.assertNotIn(SECRET, self.refusal())


class CreateTests(SecretsCase):
    """
    Making the file.
    """

    def test_made(self) -> None:
        """
        A new file is the owner's alone whatever the umask, and so is its folder.
        """
        self.path = self.path.parent / "new" / "secrets.toml"
        for mask in (0o000, 0o077, 0o277):
            before = os.umask(mask)
            try:
                secrets = Secrets.create(self.path)
            finally:
                os.umask(before)
            self.assertEqual(self.path.stat().st_mode & 0o7777, 0o600)
            self.assertEqual(self.path.parent.stat().st_mode & 0o7077, 0)
            self.assertEqual(os.listdir(self.path.parent), ["secrets.toml"])
            self.assertIsNotNone(secrets.homebrewPassword("hotspots"))
            self.path.unlink()

    def test_random(self) -> None:
        """
        Its password has groups of readable characters, more than 80 bits, its group key 32 bytes,
        and neither is ever the same.
        """
        texts = []
        for _ in range(2):
            secrets, made = openSecrets(self.path)
            self.assertTrue(made)
            texts.append(self.path.read_text())
            self.path.unlink()
            password = secrets.homebrewPassword("hotspots") or b""
            self.assertTrue(re.fullmatch(rb"[a-hjkmnp-z2-9]{5}(-[a-hjkmnp-z2-9]{5}){3}", password))
        one, other = texts
        self.assertTrue(re.search(r'\ngroup = \{key = "[0-9a-f]{64}"\}\n', one))
        differing = [line for line in one.splitlines() if line not in other.splitlines()]
        self.assertEqual([line.split()[0] for line in differing], ["hotspots", "group"])

    def test_there(self) -> None:
        """
        A file that is there is read and left as it is.
        """
        self.write(GOOD)
        secrets, made = openSecrets(self.path)
        self.assertFalse(made)
        self.assertEqual(secrets.homebrewPassword("hotspots"), SECRET.encode())
        self.assertEqual(self.path.read_text(encoding="utf-8"), GOOD)
        self.path.chmod(0o644)
        self.assertRaises(ConfigurationError, openSecrets, self.path)

    def test_race(self) -> None:
        """
        Of many that make the file at once one does, and all have what it wrote.
        """
        count = 8
        barrier = Barrier(count)

        def create(_: int) -> tuple[bytes | None, bool]:
            barrier.wait(10)
            secrets, made = openSecrets(self.path)
            return secrets.homebrewPassword("hotspots"), made

        with ThreadPoolExecutor(count) as pool:
            for _ in range(10):
                found = list(pool.map(create, range(count)))
                self.assertEqual(sum(made for _, made in found), 1)
                self.assertEqual(len({password for password, _ in found}), 1)
                self.assertEqual(os.listdir(self.path.parent), ["secrets.toml"])
                self.path.unlink()

    def test_lost(self) -> None:
        """
        One that finds the file made between its look and its own making reads that one.
        """
        self.write(GOOD)
        self.patch(os.path, "lexists", lambda path: False)
        secrets, made = openSecrets(self.path)
        self.assertFalse(made)
        self.assertEqual(secrets.homebrewPassword("hotspots"), SECRET.encode())
        self.assertEqual(os.listdir(self.path.parent), ["secrets.toml"])

    def test_cannot(self) -> None:
        """
        A file that cannot be made is a mistake with its path, and nothing is left of it.
        """

        def refuse(*_: object) -> None:
            raise OSError(1, "Operation not permitted")

        self.patch(os, "link", refuse)  # as file systems without links do
        error = self.assertRaises(ConfigurationError, Secrets.create, self.path)
        self.assertEqual(str(error), f"{self.path}: cannot be made: Operation not permitted")
        self.assertEqual(os.listdir(self.path.parent), [])
        self.path.parent.rmdir()
        self.path.parent.write_text("")
        self.assertIn("cannot be made", str(self.assertRaises(
            ConfigurationError, Secrets.create, self.path
        )))  # fmt: skip

    def test_dangling(self) -> None:
        """
        A link that leads nowhere is not followed to make a file.
        """
        target = self.path.with_name("elsewhere")
        self.path.symlink_to(target)
        self.assertIn("No such file", str(self.assertRaises(
            ConfigurationError, Secrets.create, self.path
        )))  # fmt: skip
        self.assertFalse(target.exists())


class RefreshTests(SecretsCase):
    """
    Reading the file again.
    """

    def setUp(self) -> None:
        super().setUp()
        self.write(GOOD)
        self.secrets = Secrets.load(self.path)

    def password(self) -> bytes | None:
        """
        The password now.
        """
        return self.secrets.homebrewPassword("hotspots")

    def test_unchanged(self) -> None:
        """
        A file that has not changed is not read.
        """
        self.patch(keys, "_read", lambda path: self.fail("read"))
        self.assertFalse(self.secrets.refresh())
        self.assertFalse(self.secrets.refresh())

    def test_changed(self) -> None:
        """
        A file that has changed is read once.
        """
        self.write('[homebrew]\nhotspots = "new"')
        self.assertTrue(self.secrets.refresh())
        self.assertEqual(self.password(), b"new")
        self.assertFalse(self.secrets.refresh())

    def test_inPlace(self) -> None:
        """
        A change within the file counts too, and so does one that keeps its length.
        """
        later = self.path.stat().st_mtime_ns + 10**9
        self.path.write_text(GOOD.replace(SECRET, SECRET[::-1]), encoding="utf-8")
        os.utime(self.path, ns=(later, later))
        self.assertTrue(self.secrets.refresh())
        self.assertEqual(self.password(), SECRET[::-1].encode())

    def test_bad(self) -> None:
        """
        A file with a mistake leaves the secrets as they are; the mistake is the same object until
        the file changes, and gone when the file is good.
        """
        self.write("[homebrew]\nhotspots = 5")
        self.assertFalse(self.secrets.refresh())
        mistake = self.secrets.mistake
        self.assertIn("homebrew.hotspots: ", str(mistake))
        self.assertEqual(self.password(), SECRET.encode())
        self.assertFalse(self.secrets.refresh())
        self.assertIs(self.secrets.mistake, mistake)
        self.write('[homebrew]\nhotspots = "new"')
        self.assertTrue(self.secrets.refresh())
        self.assertIsNone(self.secrets.mistake)
        self.assertEqual(self.password(), b"new")

    def test_gone(self) -> None:
        """
        A file that is gone leaves the secrets as they are, until there is one again.
        """
        self.path.unlink()
        self.assertFalse(self.secrets.refresh())
        self.assertIn("No such file", str(self.secrets.mistake))
        self.assertEqual(self.password(), SECRET.encode())
        self.write(GOOD)
        self.assertTrue(self.secrets.refresh())
        self.assertIsNone(self.secrets.mistake)

    def test_mode(self) -> None:
        """
        A file that others can read by now is a mistake, and chmod alone puts it right.
        """
        self.path.chmod(0o644)
        self.assertFalse(self.secrets.refresh())
        self.assertIn("mode 0644", str(self.secrets.mistake))
        self.path.chmod(0o600)
        self.assertTrue(self.secrets.refresh())
        self.assertIsNone(self.secrets.mistake)
