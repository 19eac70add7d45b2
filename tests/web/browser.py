"""
A headless Chromium, spoken to over two pipes by the DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

reactor: Any = _reactor  # mypy does not know which reactor there is

PATIENCE: Final = 20.0  # seconds
_FLAGS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # nothing but the pages of these tests is shown
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
)
_TO, _FROM = 3, 4  # the descriptors on which Chromium listens and speaks


class Complaint(AssertionError):
    """
    The browser could not do something.
    """


class Browser(ProcessProtocol):
    """
    A process with one page.

    @ivar complaints: errors of the page's script and console.
    @ivar network: errors that the browser itself notes when it gets no good answer.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.network: list[str] = []
        self.ended: Deferred[None] = Deferred()
        self._folder = tempfile.mkdtemp(prefix="bmff")
        self._session = ""
        self._number = 0
        self._answers: dict[int, Deferred[dict[str, Any]]] = {}
        self._pieces: list[bytes] = []

    async def start(self) -> None:
        """
        Begin, with an empty page.
        """
        program = shutil.which("chromium")
        assert program is not None
        reactor.spawnProcess(
            self,
            program,
            [program, *_FLAGS, f"--user-data-dir={self._folder}", "about:blank"],
            env={"HOME": self._folder, "PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
            childFDs={0: "w", 1: "r", 2: "r", _TO: "w", _FROM: "r"},
        )
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._call(f"{domain}.enable")

    async def stop(self) -> None:
        """
        End the process and remove what it has kept.
        """
        assert self.transport is not None
        if self.transport.pid:
            self._session = ""
            closing = self._call("Browser.close")
            closing.addErrback(lambda failure: failure.trap(Complaint))
            late = reactor.callLater(PATIENCE, self.transport.signalProcess, "KILL")
            await self.ended
            if late.active():
                late.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """
        Take what it says; each message ends with a zero.
        """
        if childFD != _FROM:
            return
        *whole, rest = data.split(b"\0")
        for piece in whole:
            self._told(json.loads(b"".join((*self._pieces, piece))))
            self._pieces = []
        self._pieces.append(rest)

    def processEnded(self, reason: Failure) -> None:
        """
        It is gone.
        """
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.errback(Complaint("the browser has ended"))
        self.ended.callback(None)

    def _told(self, message: dict[str, Any]) -> None:
        if "id" in message:
            answer = self._answers.pop(message["id"])
            if "error" in message:
                answer.errback(Complaint(str(message["error"])))
            else:
                answer.callback(message["result"])
            return
        params = message.get("params", {})
        match message["method"]:
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning", "assert"}:
                self.complaints.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
                entry = params["entry"]
                text = f"{entry['text']} {entry.get('url', '')}"
                (self.network if entry["source"] == "network" else self.complaints).append(text)

    def _call(self, method: str, **params: Any) -> Deferred[dict[str, Any]]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        answer: Deferred[dict[str, Any]] = Deferred()
        self._answers[self._number] = answer
        assert self.transport is not None
        self.transport.writeToChild(_TO, json.dumps(message).encode() + b"\0")
        return answer

    async def open(self, address: str) -> None:
        """
        Show a page.
        """
        result = await self._call("Page.navigate", url=address)
        if "errorText" in result:
            raise Complaint(result["errorText"])
        await self.until("document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """
        The value of an expression in the page; of a promise what it comes to.
        """
        result = await self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise Complaint(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    async def until(self, expression: str, patience: float = PATIENCE) -> Any:
        """
        Wait until an expression is true.

        @return: its value; true of an element.
        """
        begin = reactor.seconds()
        told = f"((found) => found instanceof Element || found)({expression})"
        while not (value := await self.evaluate(told)):
            if reactor.seconds() > begin + patience:
                text = await self.evaluate("document.body.innerText")
                raise Complaint(f"not so: {expression}\nThe page says:\n{text}")
            await deferLater(reactor, 0.02)
        return value

    async def comeThroughProxy(self) -> None:
        """
        Come from now on as through a proxy, which the node gives no right to.
        """
        await self._call("Network.enable")
        await self._call("Network.setExtraHTTPHeaders", headers={"X-Forwarded-For": "192.0.2.7"})

    async def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """
        Have a window of this size.
        """
        await self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    async def prefer(self, scheme: str) -> None:
        """
        Prefer C{"light"} or C{"dark"}.
        """
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self._call("Emulation.setEmulatedMedia", features=[feature])

    async def press(self, key: str, code: int) -> None:
        """
        Press a key.

        @param code: the Windows key code, which is what the protocol wants.
        """
        for kind in ("rawKeyDown", "keyUp"):
            await self._call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    async def type(self, text: str) -> None:
        """
        Type into what has the focus.
        """
        await self._call("Input.insertText", text=text)

    async def picture(self, path: Path) -> None:
        """
        Write what is seen as a PNG.
        """
        answer = await self._call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        path.write_bytes(base64.b64decode(answer["data"]))
