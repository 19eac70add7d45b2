"""
Tests of L{bmff.web.metrics}: what is told to Prometheus, and what is made of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from subprocess import run

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from bmff.linkservice import Choices
from bmff.testing.requirements import requirement
from bmff.web.lag import BOUNDS
from bmff.web.metrics import MOST_REASONS, OTHER, MetricsResource
from tests.protocols.fastforwardcase import FastForwardTestCase
from tests.web.apicase import OTHER as SECOND
from tests.web.apicase import STATION, ApiTestCase, SomeNode

ETC = Path(__file__).parent.parent.parent / "etc"


def samples(body: bytes) -> dict[str, float]:
    """
    What is told: name and labels, and the value.
    """
    return {
        sample.name
        + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def told(node: SomeNode) -> dict[str, float]:
    """
    What a node tells.
    """
    resource = node.api.resources["metrics"]
    assert isinstance(resource, MetricsResource)
    return samples(resource.text())


class MetricsTests(ApiTestCase):
    """
    A node with hotspots and calls.
    """

    def makeNode(self) -> SomeNode:
        return SomeNode(dropped={"fastforward": Counter({"wrong key": 2})})

    async def test_counts(self) -> None:
        """
        Calls, frames and logins are as they were.
        """
        one = self.node.hotspot(STATION)
        self.node.hotspot(SECOND)
        self.node.call(one, frames=0, stream=1)
        self.node.call(one, frames=4)
        self.node.router.dropped["slot busy"] += 3
        answer = await self.request("/metrics")
        self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        found = samples(answer.body)
        for name, value in (
            ("bmff_node_info environment=test network=25011 version=0.1.0", 1),
            ("bmff_calls", 1),
            ("bmff_calls_started_total kind=voice protocol=homebrew scope=group", 2),
            ("bmff_calls_ended_total reason=terminator", 1),
            ("bmff_frames_total protocol=homebrew", 18),
            ("bmff_frames_total protocol=fastforward", 0),
            ("bmff_frames_routed_total", 18),
            ("bmff_sessions", 2),
            ("bmff_peers", 2),
            ("bmff_logins_total", 2),
            ("bmff_dropped_total part=router reason=slot busy", 3),
            ("bmff_dropped_total part=fastforward reason=wrong key", 2),
            ("bmff_registry_up", 1),
            ("bmff_registry_age_seconds", 0.25),
            ("bmff_broker_up", 1),
            ("bmff_broker_queue", 7),
            ("bmff_broker_dropped_total", 3),
            ("bmff_api_streams stream=events", 0),
        ):
            self.assertEqual((name, found.get(name)), (name, value))
        self.assertGreater(found["process_resident_memory_bytes"], 0)
        self.assertGreater(found["process_open_fds"], 0)

    async def test_never(self) -> None:
        """
        What counts never goes back, whatever ends.
        """
        before: dict[str, float] = {}
        one = self.node.hotspot(STATION)
        for frames in (4, 0, 3):
            self.node.call(one, frames=frames, stream=100 + frames)
            found = told(self.node)
            for name, value in before.items():
                if "_total" in name.split()[0]:
                    self.assertGreaterEqual(found[name], value, name)
            before = found
        self.node.advance(3)
        self.assertGreaterEqual(
            told(self.node)["bmff_frames_total protocol=homebrew"],
            before["bmff_frames_total protocol=homebrew"],
        )

    async def test_lag(self) -> None:
        """
        The histogram of lag holds every look in the right place.
        """
        self.node.api.start()
        self.node.clock.pump([0.1] * 10)
        self.node.clock.advance(0.13)
        found = told(self.node)
        self.assertEqual(found["bmff_reactor_lag_seconds_count"], 11)
        self.assertEqual(found[f"bmff_reactor_lag_seconds_bucket le={BOUNDS[0]}"], 10)
        self.assertEqual(found["bmff_reactor_lag_seconds_bucket le=0.05"], 11)
        self.assertAlmostEqual(found["bmff_reactor_lag_seconds_sum"], 0.03)

    async def test_bounded(self) -> None:
        """
        However many reasons there are, so many are told, and the sum is right.
        """
        for number in range(500):
            self.node.router.dropped[f"reason {number}"] = number
        found = {
            name: value
            for name, value in told(self.node).items()
            if name.startswith("bmff_dropped_total part=router")
        }
        self.assertEqual(len(found), MOST_REASONS + 1)
        self.assertIn(f"bmff_dropped_total part=router reason={OTHER}", found)
        self.assertEqual(sum(found.values()), sum(range(500)))

    async def test_promtool(self) -> None:
        """
        Prometheus' own tool finds nothing to say of names and forms.
        """
        if (missing := requirement("promtool")) is not None:
            self.skipTest(missing)
        self.node.call(self.node.hotspot(STATION))
        answer = await self.request("/metrics")
        ours = b"".join(
            line + b"\n"
            for line in answer.body.splitlines()
            if not re.match(rb"(# (HELP|TYPE) )?python_", line)
        )
        done = run(["promtool", "check", "metrics"], input=ours, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr + done.stdout), (0, b""))


class PathsTests(FastForwardTestCase):
    """
    Links on a virtual network.
    """

    def test_paths(self) -> None:
        """
        Of each path it is told what it carried and how good it is, with few labels.
        """
        here, _ = self.pair()
        choices = Choices(here.cluster, here.fastForward, here.rows, {"udp": None}, {})
        node = SomeNode(choices=choices)
        self.advance(3.0)
        found = told(node)
        labels = "node=2502 transport=udp"
        self.assertEqual(found[f"bmff_path_active {labels}"], 1)
        self.assertGreater(found[f"bmff_path_packets_sent_total {labels}"], 0)
        self.assertGreater(found[f"bmff_path_packets_received_total {labels}"], 0)
        self.assertIn(f"bmff_path_frames_sent_total {labels}", found)
        self.assertGreater(found[f"bmff_path_round_trip_seconds {labels}"], 0)
        self.assertEqual(found[f"bmff_path_loss_ratio {labels}"], 0)
        self.assertIn(f"bmff_path_jitter_seconds {labels}", found)
        self.assertIn("bmff_link_frames_held_total node=2502", found)


class FilesTests(SynchronousTestCase):
    """
    What is made of it: rules and a dashboard.
    """

    def names(self) -> set[str]:
        """
        The names that a node tells.
        """
        node = SomeNode()
        families = {name.split()[0] for name in told(node)}
        # Which need a link with a path.
        return families | {
            "bmff_path_active",
            "bmff_path_round_trip_seconds",
            "bmff_path_loss_ratio",
            "bmff_path_jitter_seconds",
            "bmff_path_frames_sent_total",
            "bmff_path_frames_received_total",
            "bmff_path_frames_dropped_total",
            "bmff_path_frame_packets_sent_total",
            "bmff_path_packets_repeated_total",
            "bmff_path_packets_repaired_total",
            "bmff_link_up",
            "bmff_link_frames_late_total",
            "bmff_link_frames_held_total",
            "bmff_calls_started_total",
            "bmff_calls_ended_total",
            "bmff_dropped_total",
            "bmff_homebrew_datagrams_kernel_dropped_total",
            "bmff_api_refused_total",
        }

    def used(self, text: str) -> set[str]:
        """
        The names in a text.
        """
        return set(re.findall(r"\b(?:bmff|process)_[a-z_]+\b", text))

    def test_dashboard(self) -> None:
        """
        The dashboard is one, and asks only for what there is.
        """
        text = (ETC / "grafana/bmff.json").read_text()
        dashboard = json.loads(text)
        self.assertGreater(len(dashboard["panels"]), 8)
        identifiers = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(identifiers), len(set(identifiers)))
        expressions = " ".join(
            target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
        )
        self.assertEqual(self.used(expressions) - self.names(), set())

    def test_rules(self) -> None:
        """
        The rules ask only for what there is.
        """
        text = (ETC / "prometheus/rules.yml").read_text()
        self.assertEqual(self.used(text) - self.names(), set())

    def test_promtool(self) -> None:
        """
        Prometheus' own tool takes the files, and the rules ring when they should and only then.
        """
        if (missing := requirement("promtool")) is not None:
            self.skipTest(missing)
        for words in (
            ("check", "rules", "rules.yml"),
            ("check", "config", "prometheus.yml"),
            ("test", "rules", "rules.test.yml"),
        ):
            done = run(
                ["promtool", *words], cwd=ETC / "prometheus", capture_output=True, check=False
            )
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
