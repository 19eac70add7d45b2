"""
Tests of L{bmff.web.livepage} and its files: what is served, and what a browser makes of it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import rmtree
from statistics import median
from tempfile import mkdtemp
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.events import CallEnded, SubscriptionChanged
from bmff.ibmff import OverrideRow
from bmff.testing.requirements import requires
from bmff.web.admission import NetworkGate
from bmff.web.api import root
from bmff.web.happenings import LINKS, measured
from bmff.web.links import LinksView
from bmff.web.livepage import POLICY, LivePage
from bmff.web.site import ApiSite
from bmff.web.views import Moments
from bmff.wire.homebrew import Station
from tests.nodes import FASTEST, ROOT
from tests.web.apicase import OPERATOR, ApiTestCase, SomeBridges, SomeNode, SomeUplinks
from tests.web.browser import Browser
from tests.web.pagenode import PageHotspot, PageNode

reactor: Any = _reactor  # mypy does not know which reactor there is

FOLDER: Final = ROOT / "bmff" / "web" / "page"
SCREENSHOTS: Final = "BMFF_SCREENSHOTS"  # in the environment of who wants new ones
MANY: Final = 1000  # hotspots
SHOWN: Final = "getComputedStyle(document.getElementById('{}')).display !== 'none'"
SCRIPTS: Final = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")


class PageFilesTests(ApiTestCase):
    """
    What is served.
    """

    def serve(self, node: SomeNode, **limits: Any) -> None:
        """
        Serve the page too.
        """
        gate = NetworkGate(root(node.api.resources, LivePage()), node.admission)
        self.site = ApiSite(gate, node.refusals, reactor, **limits)
        port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(self.close, port)
        self.port = port.getHost().port

    async def test_files(self) -> None:
        """
        Each file comes with its type and with a policy, also to whom nothing is allowed.
        """
        proxied = {"X-Forwarded-For": "192.0.2.7"}
        for path, kind, name in (
            ("/", "text/html; charset=utf-8", "page.html"),
            ("/page/page.css", "text/css; charset=utf-8", "page.css"),
            ("/page/page.js", "text/javascript; charset=utf-8", "page.js"),
            ("/page/icon.svg", "image/svg+xml", "icon.svg"),
        ):
            answer = await self.request(path, headers=proxied)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.body, (FOLDER / name).read_bytes())
            headers = answer.headers
            self.assertEqual(headers["content-type"], kind)
            self.assertEqual(headers["content-security-policy"], POLICY)
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["cache-control"], "no-cache")
            self.assertEqual(headers["referrer-policy"], "no-referrer")

    async def test_unchanged(self) -> None:
        """
        A browser that has a file is only told so, and one that has another gets it.
        """
        first = await self.request("/page/page.js")
        tag = first.headers["etag"]
        same = await self.request("/page/page.js", headers={"If-None-Match": tag})
        self.assertEqual((same.status, same.body), (304, b""))
        other = await self.request("/page/page.js", headers={"If-None-Match": '"older"'})
        self.assertEqual((other.status, other.body), (200, first.body))

    async def test_nothingElse(self) -> None:
        """
        There is nothing else below the page, and nothing can be written there.
        """
        for path in ("/page/", "/page/other.js", "/page/page.js/x", "/page/%2e%2e/api.py"):
            self.assertEqual((await self.request(path)).status, 404, path)
        answer = await self.request("/page/page.js", {})
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))


class PageSourceTests(SynchronousTestCase):
    """
    What the files hold.
    """

    def test_noOutsideResource(self) -> None:
        """
        No file names anything that is elsewhere; a name space is no resource.
        """
        for path in FOLDER.iterdir():
            text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            self.assertNotRegex(text, r"https?://|//[a-z]+\.[a-z]+/|@import|url\(", path.name)

    def test_onlyText(self) -> None:
        """
        The script makes no markup of text, and the page holds neither script nor style of its own.
        """
        script = (FOLDER / "page.js").read_text("utf-8")
        for word in SCRIPTS:
            self.assertNotIn(word, script)
        page = (FOLDER / "page.html").read_text("utf-8")
        self.assertNotRegex(page, r"<style|style=|\son[a-z]+=|<script(?![^>]*src=)")

    def test_labels(self) -> None:
        """
        Each section has a heading as its name, and each field a label.
        """
        page = (FOLDER / "page.html").read_text("utf-8")
        for named in re.findall(r'<section[^>]*aria-labelledby="([^"]+)"', page):
            self.assertIn(f'id="{named}"', page)
        self.assertEqual(page.count("<section"), page.count("<h2") - 1)
        for field in re.findall(r"<label[^>]*>.*?</label>|<input[^>]*>", page, re.S):
            self.assertTrue(field.startswith("<label"), field)


class PageCase(TestCase):
    """
    A node and a browser that shows its page.
    """

    timeout = 90
    links = False
    networks = False

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.folder = Path(mkdtemp(prefix="bmff-"))
        self.addCleanup(rmtree, self.folder)
        self.node = PageNode(self.folder, links=self.links)
        if self.networks:
            self.node.bridges, self.node.uplinks = SomeBridges(), SomeUplinks()
        self.nodes = [self.node]
        await self.node.start()
        self.addCleanup(self.stopNodes)
        self.browser = Browser()
        await self.browser.start()
        self.addCleanup(self.browser.stop)
        await self.browser.resize(1280, 900)

    async def stopNodes(self) -> None:
        for node in self.nodes:
            await node.stop()
        await deferLater(reactor, 0.05)  # until the last datagrams in memory have come

    async def show(self) -> None:
        """
        Show the page, until it is live and has looked at everything.
        """
        await self.browser.open(self.node.address)
        await self.browser.until("document.querySelector('#connection').textContent === 'live'")
        await self.browser.until("document.querySelector('#title').textContent.includes('2501')")
        await self.browser.until("document.querySelectorAll('#health-table tbody tr').length")

    async def hotspot(self, number: int = 2340001, call: str = "G4TST") -> PageHotspot:
        """
        A hotspot that is logged in.
        """
        hotspot = self.node.hotspot(Station(number, call, slots=3, package="MMDVM_HS"))
        await self.until(lambda: hotspot.running)
        return hotspot

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait for something in the node.
        """
        begin = reactor.seconds()
        while not condition():
            self.assertLess(reactor.seconds(), begin + 15, "it does not become so")
            await deferLater(reactor, 0.005)

    def frames(
        self, stream: int, source: int = 2340001, destination: int = 91, superframes: int = 2
    ) -> list[Frame]:
        """
        Those of a call, a short one unless something else is said.
        """
        return list(
            voiceCall(
                source=source,
                destination=destination,
                stream=stream,
                superframes=superframes,
                slot=1,
            )
        )

    async def text(self, selector: str) -> str:
        """
        The text of something on the page.
        """
        return str(await self.browser.evaluate(f"document.querySelector({selector!r}).textContent"))

    def clean(self) -> None:
        """
        The browser has had nothing to complain about.
        """
        self.assertEqual(self.browser.complaints, [])


@requires("chromium")
class CallTests(PageCase):
    """
    Calls on the page.
    """

    async def test_call(self) -> None:
        """
        A call appears within a second with who talks to whom, is read out, counts its time, and is
        among those last heard when it is over.
        """
        hotspot = await self.hotspot()
        await self.show()
        await self.browser.until("document.querySelectorAll('#peers-table tbody tr').length === 1")
        frames = self.frames(0xBEEF, superframes=8)
        begin = time.time()
        hotspot.talk(frames)
        self.addCleanup(hotspot.silence)
        row = await self.browser.until(
            "document.querySelector('#now-table tbody tr')?.textContent", 5.0
        )
        self.assertLess(time.time() - begin, 1.0)
        for word in ("G4TST", "2340001", "TG 91"):
            self.assertIn(word, row)
        said = "document.querySelector('#said').textContent"
        self.assertEqual(await self.browser.until(said), "G4TST talks to talkgroup 91")
        talking = "document.querySelector('#peers-table tbody tr').className === 'live'"
        await self.browser.until(talking)
        await self.browser.until("document.querySelector('#now-table .time').textContent >= '0:01'")
        await self.browser.until("!document.querySelector('#now-table tbody tr')")
        over = await self.text("#heard-table tbody tr")
        self.assertIn("G4TST", over)
        self.assertIn("0 %", over)
        self.clean()
        self.assertEqual(self.browser.network, [])

    async def test_running(self) -> None:
        """
        A call that was on before the page has its right time; one that loses frames says how many.
        """
        hotspot = await self.hotspot()
        frames = self.frames(0xCAFE, superframes=150)
        hotspot.talk(frames[:2] + frames[8:])  # the start of it is lost
        self.addCleanup(hotspot.silence)
        await self.until(lambda: any(call.lost for call in self.node.node.router.currentCalls()))
        await self.show()
        lost = "document.querySelector('#now-table td.bad, #now-table td.warn')?.textContent"
        self.assertRegex(await self.browser.until(lost), "^[1-9][.0-9]* %$")
        (call,) = self.node.node.router.currentCalls()
        time = "document.querySelector('#now-table td.time').textContent"
        minutes, _, seconds = (await self.browser.evaluate(time)).partition(":")
        shown = 60 * int(minutes) + int(seconds)
        self.assertLess(abs(shown - (call.heard - call.started)), 2.5)
        hotspot.silence()
        await self.browser.until("document.querySelector('#heard-table tbody tr')")
        self.assertIn("silence", await self.text("#heard-table tbody tr"))
        self.clean()

    async def test_textIsText(self) -> None:
        """
        What a hotspot calls itself is shown as it is, whatever it looks like.
        """
        await self.hotspot(2340007, "<b>X</b>")
        await self.show()
        cell = "document.querySelector('#peers-table tbody td .word')?.textContent"
        self.assertEqual(await self.browser.until(cell), "<b>X</b>")
        self.assertEqual(await self.browser.evaluate("document.querySelectorAll('b').length"), 0)
        self.clean()

    async def test_latency(self) -> None:
        """
        From the first frame of a call to the picture that shows it the median is below 200 ms.
        """
        hotspot = await self.hotspot()
        await self.show()
        took = []
        for number in range(15):
            stream = 0x1000 + number
            frames = self.frames(stream, source=2000001 + number)
            shown = self.browser.evaluate(
                "new Promise((done) => { const seen = new MutationObserver(() => {"
                "if (!document.querySelector('#now-table').textContent"
                f".includes('{2000001 + number}')) return;"
                " seen.disconnect();"
                "requestAnimationFrame(() => setTimeout(() => done(Date.now()))); });"
                "seen.observe(document.querySelector('#now'),"
                "{subtree: true, childList: true, characterData: true}); })"
            )
            watching = ensureDeferred(shown)
            await deferLater(reactor, 0.05)
            begin = time.time()
            hotspot.send(frames[0])
            took.append(await watching / 1000 - begin)
            hotspot.send(frames[-1])
            await deferLater(reactor, 0.05)
        _note(f"call to page: median {1000 * median(took):.0f} ms, worst {1000 * max(took):.0f} ms")
        self.assertLess(median(took), 0.2)


@requires("chromium")
class ManyTests(PageCase):
    """
    Many hotspots.
    """

    async def test_thousand(self) -> None:
        """
        With a thousand hotspots, a call a tenth of a second and talkgroups that change all the
        time, no task of the page takes longer than 200 ms, and the filter finds one of them.
        """
        hotspots = [
            self.node.hotspot(Station(2341000 + number, f"G{number}ABC", slots=3))
            for number in range(MANY)
        ]
        await self.until(lambda: all(each.running for each in hotspots))
        await self.show()
        await self.browser.until(f"document.querySelector('#peers-count').textContent === '{MANY}'")
        await self.browser.evaluate(
            "window.longest = 0; window.gap = 0;"
            "new PerformanceObserver((list) => { for (const task of list.getEntries())"
            " window.longest = Math.max(window.longest, task.duration); })"
            ".observe({type: 'longtask'});"
            "let before = performance.now(); (function next(now) {"
            " window.gap = Math.max(window.gap, now - before); before = now;"
            " requestAnimationFrame(next); })(before); 1"
        )
        for number in range(30):
            hotspot = hotspots[number]
            frames = self.frames(0x2000 + number, source=2341000 + number)
            hotspot.send(frames[0])
            for each in range(30):
                self.node.node.events.publish(
                    SubscriptionChanged(
                        2341000 + (number * 30 + each) % MANY, 1, (91,), (number + 1,)
                    )
                )
            await deferLater(reactor, 0.1)
            hotspot.send(frames[-1])
        longest, gap = await self.browser.evaluate("[window.longest, window.gap]")
        _note(f"{MANY} hotspots: longest task {longest:.0f} ms, longest gap {gap:.0f} ms")
        self.assertLess(longest, 200)
        self.assertLess(
            await self.browser.evaluate("document.querySelectorAll('#peers-table tr').length"), 60
        )
        await self.browser.evaluate("document.querySelector('#filter').focus()")
        await self.browser.type("G777ABC")
        await self.browser.until(
            f"document.querySelector('#peers-count').textContent === '1 of {MANY}'"
        )
        self.assertIn("2341777", await self.text("#peers-table tbody tr"))
        await self.browser.evaluate(
            "const box = document.querySelector('#filter'); box.value = '';"
            "box.dispatchEvent(new Event('input')); document.querySelector('#peers-more').click()"
        )
        await self.browser.until(
            "document.querySelectorAll('#peers-table tbody tr').length === 250"
        )
        self.clean()


@requires("chromium")
class LinkTests(PageCase):
    """
    Links on the page.
    """

    links = True

    async def addNode(self) -> None:
        """
        One more node, linked.
        """
        other = PageNode(self.folder, 25011 + len(self.nodes), links=True)
        self.nodes.append(other)
        await other.start()
        links = self.node.node.links
        assert links is not None
        found = links
        await self.until(lambda: other.number in found.fastForward.links)

    async def test_pathSwitch(self) -> None:
        """
        A link is on the map and in the table with its path and its plots; an operator who signs in
        and has it run over another path sees that it does.
        """
        await self.addNode()
        await self.show()
        path = "document.querySelector('#links-table td.path .word')?.textContent"
        await self.browser.until(f"{path} === '{FASTEST}'")
        await self.browser.until(
            f"document.querySelector('#map').textContent.includes('{FASTEST}')"
        )
        drawn = "document.querySelector('#links-table svg path')?.getAttribute('d')?.includes('L')"
        await self.browser.until(drawn)
        await self.browser.evaluate("document.querySelector('#sign').click()")
        await self.browser.type(OPERATOR)
        await self.browser.press("Enter", 13)
        await self.browser.evaluate("document.querySelector('#token button.main').click()")
        await self.browser.until("!document.querySelector('#send').hidden")
        switched = await self.browser.evaluate(
            "fetch('path', {method: 'POST', headers: {'Content-Type': 'application/json'},"
            " body: JSON.stringify({node: 25012, transport: 'udp'})}).then((one) => one.status)"
        )
        self.assertEqual(switched, 200)
        await self.browser.until(f"{path} === 'udp'", 3.0)
        label = await self.browser.evaluate(
            "document.querySelector('#map').getAttribute('aria-label')"
        )
        self.assertIn("25012 over udp", label)
        self.assertIn("runs over udp", await self.text("#messages-table"))
        self.clean()

    async def test_screenshots(self) -> None:
        """
        The page of three nodes and ten hotspots, as the guide shows it: a link that carries voice
        is marked on the map, and nothing is wider than a telephone.
        """
        await self.addNode()
        await self.addNode()
        await self._scene()
        await self.show()
        await self._past()
        await self.browser.until("document.querySelector('#map .live')")  # it carries voice
        for name, scheme, width, height in (
            ("page-light", "light", 1280, 900),
            ("page-dark", "dark", 1280, 900),
            ("page-narrow", "light", 320, 900),
        ):
            await self.browser.prefer(scheme)
            await self.browser.resize(width, height, mobile=width < 400)
            await deferLater(reactor, 0.6)
            wide = await self.browser.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, width)
            if os.environ.get(SCREENSHOTS):
                folder = ROOT / "docs" / "screenshots"
                folder.mkdir(exist_ok=True)
                await self.browser.picture(folder / f"{name}.png")
        self.clean()

    async def _scene(self) -> None:
        places = (
            "London",
            "Leeds",
            "Bath",
            "York",
            "Derby",
            "Wells",
            "Truro",
            "Ely",
            "Ripon",
            "Oxford",
        )
        hotspots = []
        for number, place in enumerate(places):
            station = Station(
                2340010 + 7 * number, f"G{number}{place[:3].upper()}", location=place, slots=3,
                package=("MMDVM_HS_Hat", "MMDVM_DMO", "MMDVM")[number % 3],
            )  # fmt: skip
            hotspots.append(self.node.hotspot(station))
        await self.until(lambda: all(each.running for each in hotspots))
        for number in range(14):
            source, talkgroup = 2340010 + 7 * (number % 10), (91, 2350, 235, 23526)[number % 4]
            lost = (0, 0, 1, 0, 9, 0, 0)[number % 7]
            seconds = 1.8 + number * 5.7 % 31
            self.node.node.events.publish(
                CallEnded(
                    stream=0x3000 + number, source=source, destination=talkgroup, private=False,
                    data=False, peer=source, slot=1 + number % 2, duration=seconds, late=0,
                    reason="silence" if lost > 1 else "terminator", duplicates=0,
                    frames=int(seconds / 0.06), lost=lost,
                )
            )  # fmt: skip
        far = self.nodes[1].hotspot(Station(2350001, "G5FAR", slots=3))
        await self.until(lambda: far.running)
        await far.say(self.frames(0x5000, 2350001, 91))  # it hears 91 from now on
        for number, hotspot in enumerate(hotspots[:3]):
            source = 2340010 + 7 * number
            frames = self.frames(0x4000 + number, source, (91, 2350, 235)[number], 150)
            hotspot.talk(
                [one for place, one in enumerate(frames) if number != 1 or place % 40 != 9]
            )
            self.addCleanup(hotspot.silence)
            await deferLater(reactor, 1.2)
        links, others = self.node.node.links, self.nodes[1].node.links
        assert links is not None
        assert others is not None
        await links.registry.put(OverrideRow(25012, 0, "udp", "127.0.0.1", others.port))

    async def _past(self) -> None:
        """
        Have the page hear of minutes that have not been.
        """
        links = self.node.node.links
        assert links is not None
        view = LinksView(links.choices, Moments(reactor.seconds, time.time))
        chance = Random(7)
        for second in range(280):
            content = measured(view())
            for place, link in enumerate(content["links"]):
                busy = max(0.0, 1 - abs(second - 140 - 60 * place) / 25)
                for path in link["paths"]:
                    path["round_trip"] = (0.0016 + 0.003 * busy) * chance.uniform(0.9, 1.1 + busy)
                    path["loss"] = 0.03 * busy * place * chance.random()
            self._publish(content)
        drawn = "document.querySelector('#links-table svg path')?.getAttribute('d')"
        await self.browser.until(f"({drawn} || '').length > 999")

    def _publish(self, content: dict[str, Any]) -> None:
        self.node.api.events.publish(LINKS, lambda exact: content)


@requires("chromium")
class RestartTests(PageCase):
    """
    A node that is away for a while, and visitors who have to say who they are.
    """

    async def test_restart(self) -> None:
        """
        The page says that the node is away, comes back with it, and shows what is there then.
        """
        await self.hotspot()
        await self.show()
        await self.browser.until("document.querySelectorAll('#peers-table tbody tr').length === 1")
        await self.node.stop()
        await self.browser.until("!document.querySelector('#banner').hidden")
        self.assertIn("no connection", await self.text("#banner"))
        await self.node.start()
        await self.hotspot(2340002, "G4NEW")
        await self.browser.until("document.querySelector('#connection').textContent === 'live'")
        await self.browser.until(
            "document.querySelector('#peers-table tbody tr')?.textContent.includes('G4NEW')"
        )
        await self.browser.until(
            "document.querySelector('#messages-table').textContent.includes('started again')"
        )
        self.assertTrue(await self.browser.evaluate("document.querySelector('#banner').hidden"))
        self.clean()

    async def test_token(self) -> None:
        """
        Who may see nothing is asked for a token; a wrong one is refused, a good one opens the page,
        and no script can read what stands for it.
        """
        await self.hotspot()
        await self.browser.comeThroughProxy()
        await self.browser.open(self.node.address)
        await self.browser.until("document.querySelector('#token').open")
        self.assertEqual(await self.browser.evaluate("document.activeElement.id"), "secret")
        for token, after in (
            ("wrong", "document.querySelector('#wrong').textContent.includes('not good')"),
            (OPERATOR, "!document.querySelector('#token').open"),
        ):
            await self.browser.evaluate("document.querySelector('#secret').value = ''")
            await self.browser.type(token)
            await self.browser.evaluate("document.querySelector('#token button.main').click()")
            await self.browser.until(after)
        await self.browser.until("document.querySelectorAll('#peers-table tbody tr').length === 1")
        self.assertEqual(await self.browser.evaluate("document.cookie"), "")
        self.assertNotIn(OPERATOR, await self.browser.evaluate("location.href"))
        for name, value in (("source", "2340001"), ("destination", "2340002"), ("text", "hello")):
            await self.browser.evaluate(f"document.querySelector('#send [name={name}]').focus()")
            await self.browser.type(value)
        await self.browser.evaluate("document.querySelector('#send button').click()")
        await self.browser.until("document.querySelector('#sent').textContent.includes('way')")
        self.assertEqual(self.node.messages.sent, [("hello", 2340001, 2340002, False)])
        self.clean()


@requires("chromium")
class ReachTests(PageCase):
    """
    Those who use a keyboard, see little contrast, or have a small screen.
    """

    async def test_keyboard(self) -> None:
        """
        All that can be used is reached with the Tab key, and it is seen where one is.
        """
        await self.show()
        seen = []
        for _ in range(8):
            await self.browser.press("Tab", 9)
            seen.append(
                await self.browser.evaluate(
                    "(() => { const one = document.activeElement;"
                    " return [one.id || one.className, getComputedStyle(one).outlineStyle]; })()"
                )
            )
        names = [name for name, _ in seen]
        for name in ("skip", "sign", "announce", "filter"):
            self.assertIn(name, names)
            self.assertEqual(dict(seen)[name], "solid", name)
        self.clean()

    async def test_contrast(self) -> None:
        """
        Each colour of text has a contrast of 4.5 or more to what it stands on (WCAG 2.2, 1.4.3), in
        the light and in the dark.
        """
        await self.show()
        for scheme in ("light", "dark"):
            await self.browser.prefer(scheme)
            colours = await self.browser.evaluate(
                "(() => { const style = getComputedStyle(document.documentElement);"
                "return Object.fromEntries(['ground', 'panel', 'text', 'quiet', 'live',"
                "'warn', 'bad', 'live-ground', 'bad-ground'].map((name) => [name,"
                " style.getPropertyValue('--' + name).trim()])); })()"
            )
            for text in ("text", "quiet", "live", "warn", "bad"):
                for ground in ("ground", "panel", "live-ground"):
                    ratio = _contrast(colours[text], colours[ground])
                    self.assertGreaterEqual(ratio, 4.5, f"{scheme}: {text} on {ground}")
            self.assertGreaterEqual(_contrast(colours["text"], colours["bad-ground"]), 4.5)

    async def test_narrow(self) -> None:
        """
        On a screen of 320 pixels nothing has to be moved sideways, also with a call, and with the
        dialog open.
        """
        await self.browser.resize(320, 640, mobile=True)
        hotspot = await self.hotspot(234000107, "VERYLONGNAME")
        await self.show()
        hotspot.talk(self.frames(0xF00D, superframes=150))
        self.addCleanup(hotspot.silence)
        await self.browser.until("document.querySelector('#now-table tbody tr')")
        for _ in range(2):
            wide = await self.browser.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 320)
            await self.browser.evaluate("document.querySelector('#sign').click()")
        self.clean()


def _note(text: str) -> None:
    """
    Say what was measured to who wants screenshots too.
    """
    if os.environ.get(SCREENSHOTS):
        print(text)


def _contrast(one: str, other: str) -> float:
    """
    The contrast of two colours.
    """
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """
    The relative luminance of C{#rrggbb} (WCAG 2.2).
    """
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
