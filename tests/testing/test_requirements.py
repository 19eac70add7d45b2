"""
Tests of L{bmff.testing.requirements}.
"""

from __future__ import annotations

import os
from unittest import TestResult

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.errors import ConfigurationError
from bmff.testing import requirements
from bmff.testing.requirements import PROBES, VARIABLE, required, requirement, requires


def absent() -> str:
    return "no such thing (absent)"


def present() -> None:
    return None


class EnvironmentTests(SynchronousTestCase):
    """
    Tests of what C{BMFF_REQUIRE} says here and now.
    """

    def test_known(self) -> None:
        """
        This run requires nothing that is unknown, and has all that it requires.
        """
        for name in required():
            self.assertIsNone(requirement(name))


class RequirementTests(SynchronousTestCase):
    """
    Tests of L{requirement}, L{required} and L{requires}.
    """

    def setUp(self) -> None:
        """
        Two things to probe for, and an environment that requires neither.
        """
        self.patch(os, "environ", {})
        self.patch(requirements, "PROBES", {"absent": absent, "present": present})

    def outcome(self, case: type[SynchronousTestCase]) -> TestResult:
        """
        Run C{test_it} of a class.
        """
        result = TestResult()
        case("test_it").run(result)
        self.assertEqual(result.testsRun, 1)
        return result

    def reasons(self, case: type[SynchronousTestCase]) -> list[str]:
        """
        Why C{test_it} of a class was skipped.
        """
        return [reason for _, reason in self.outcome(case).skipped]

    def test_reason(self) -> None:
        """
        What is there is no reason to skip; what is missing is one that names it.
        """
        self.assertIsNone(requirement("present"))
        self.assertEqual(requirement("absent"), "no such thing (absent)")

    def test_required(self) -> None:
        """
        C{BMFF_REQUIRE} lists names with commas, blanks around them or not; what it lists may not
        be missing, and what it does not list may.
        """
        os.environ[VARIABLE] = " present,"
        self.assertEqual(required(), {"present"})
        self.assertIsNone(requirement("present"))
        self.assertEqual(requirement("absent"), "no such thing (absent)")
        os.environ[VARIABLE] = "present, absent"
        self.assertEqual(required(), {"present", "absent"})
        error = self.assertRaises(ConfigurationError, requirement, "absent")
        self.assertEqual(str(error), "BMFF_REQUIRE: absent is required: no such thing (absent)")

    def test_unknown(self) -> None:
        """
        Every unknown name in C{BMFF_REQUIRE} is told, with the known ones, whatever is asked for.
        """
        os.environ[VARIABLE] = "present,dragon,griffin"
        error = self.assertRaises(ConfigurationError, requirement, "present")
        self.assertEqual(
            str(error),
            "BMFF_REQUIRE: dragon is unknown; there is absent, present\n"
            "BMFF_REQUIRE: griffin is unknown; there is absent, present",
        )

    def test_misspelt(self) -> None:
        """
        A test that needs what nobody can probe for is a mistake in that test.
        """
        self.assertRaises(KeyError, requires, "dragon")
        self.assertRaises(KeyError, requirement, "dragon")

    def test_method(self) -> None:
        """
        A method runs where all that it needs is there, with its result handed on, and is skipped
        with the reason where something is missing.
        """
        ran: list[object] = []

        class Case(TestCase):
            @requires("present")
            def test_it(self) -> object:
                ran.append(self)
                return succeed(None).addCallback(lambda _: self.fail("seen"))

        self.assertEqual(len(self.outcome(Case).failures), 1)
        self.assertEqual(len(ran), 1)

        class Skipped(TestCase):
            @requires("present", "absent")
            def test_it(self) -> None:
                ran.append(self)

        self.assertEqual(self.reasons(Skipped), ["no such thing (absent)"])
        self.assertEqual(len(ran), 1)

    def test_class(self) -> None:
        """
        A class is skipped before its C{setUp}; where nothing is missing that runs, and the test.
        """
        ran: list[str] = []

        def case(name: str) -> type[SynchronousTestCase]:
            @requires(name)
            class Case(SynchronousTestCase):
                def setUp(self) -> None:
                    ran.append("setUp")

                def test_it(self) -> None:
                    ran.append("test_it")

            return Case

        self.assertEqual(self.reasons(case("absent")), ["no such thing (absent)"])
        self.assertEqual(ran, [])
        self.assertTrue(self.outcome(case("present")).wasSuccessful())
        self.assertEqual(ran, ["setUp", "test_it"])

    def test_missing(self) -> None:
        """
        A test whose need is listed in C{BMFF_REQUIRE} and missing is an error, not a skip.
        """
        os.environ[VARIABLE] = "absent"

        @requires("absent")
        class Case(SynchronousTestCase):
            def test_it(self) -> None:
                pass

        result = self.outcome(Case)
        self.assertEqual(result.skipped, [])
        ((_, traceback),) = result.errors
        self.assertIn("absent is required", traceback)


class CompilerTests(SynchronousTestCase):
    """
    Tests of the probe for a C compiler.
    """

    def test_none(self) -> None:
        """
        Without one on the search path the reason names it.
        """
        probe = PROBES["cc"].__wrapped__  # type: ignore[attr-defined]  # what the cache calls
        self.patch(os, "environ", {"PATH": self.mktemp()})
        self.assertEqual(probe(), "no C compiler (cc)")

    def test_broken(self) -> None:
        """
        One that cannot compile a program of the C library is not taken for one that can.
        """
        probe = PROBES["cc"].__wrapped__  # type: ignore[attr-defined]
        folder = self.mktemp()
        os.mkdir(folder)
        with open(os.path.join(folder, "cc"), "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexit 1\n")
        os.chmod(script.name, 0o755)
        self.patch(os, "environ", {"PATH": folder})
        self.assertEqual(probe(), "no headers of the C library (libc6-dev)")
