"""
The API held against its own description by schemathesis (schemathesis.io), which makes up requests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.utils import getProcessOutputAndValue

from bmff.testing.requirements import requires
from tests.web.apicase import OPERATOR, STATION, ApiTestCase

reactor: Any = _reactor  # mypy does not know which reactor there is
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 100 if os.environ.get("BMFF_SOAK") else 5  # of each operation


class SchemathesisTests(ApiTestCase):
    """
    Whatever is asked for, the answer is as described, and never a mistake of the node's.
    """

    timeout = 600

    @requires("schemathesis")
    async def test_answers(self) -> None:
        """
        With every right, and with none.
        """
        self.node.messages.room = 1_000_000
        hotspot = self.node.hotspot(STATION)
        self.node.call(hotspot, frames=0, stream=1)
        self.node.call(hotspot)
        for token in (OPERATOR, ""):
            header = ("--header", f"Authorization: Bearer {token}") if token else ()
            out, err, code = await getProcessOutputAndValue(
                sys.executable,
                [
                    *("-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"),
                    *(f"http://127.0.0.1:{self.port}/openapi.json", *header),
                    *("--phases", "examples,coverage,fuzzing"),
                    *("--max-examples", str(EXAMPLES), "--generation-deterministic"),
                    # Streams do not end.
                    *("--exclude-path", "/events", "--exclude-path", "/lastheard/stream"),
                    "--no-color",
                ],
                env={**os.environ, "HOME": self.mktemp()},
            )
            self.assertEqual(code, 0, (out + err).decode()[-4000:])
