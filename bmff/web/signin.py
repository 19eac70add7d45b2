"""
A browser's way in: a token is posted once, and a cookie stands for it from then on.
"""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request

from bmff.web.admission import Admission
from bmff.web.cookies import LIFETIME, Cookies
from bmff.web.resource import Posting, Reading, answer
from bmff.web.rights import Right, refused, visitorOf
from bmff.web.schema import Schema


class SignIn(Posting):
    """
    Takes a token and gives a cookie that scripts cannot read and that no other page's requests
    carry.
    """

    right = Right.NOTHING

    def __init__(self, admission: Admission, schema: Schema) -> None:
        super().__init__(schema)
        self._admission = admission

    def post(self, request: Request, order: dict[str, Any]) -> bytes:
        """
        Answer with the cookie.
        """
        found = self._admission.token(order["token"])
        if found is None or found[0] is Right.NOTHING:
            refused(request, "wrong token")
            return answer(request, {"error": "this token is not good"}, 401)
        right, name, digest = found
        cookies = self._admission.cookies
        _give(request, cookies, cookies.make(name, digest), int(LIFETIME))
        return answer(request, {"session": {"token": name, "right": right.name.lower()}})


class SignOut(Posting):
    """
    Takes a cookie back.
    """

    right = Right.NOTHING

    def __init__(self, cookies: Cookies, schema: Schema) -> None:
        super().__init__(schema)
        self._cookies = cookies

    def post(self, request: Request, order: dict[str, Any]) -> bytes:
        """
        Answer with none.
        """
        value = request.getCookie(self._cookies.name.encode())
        if value:
            self._cookies.end(value.decode("ascii", "replace"))
        _give(request, self._cookies, "", 0)
        return answer(request, {"session": {"token": None, "right": "nothing"}})


class Who(Reading):
    """
    Tells a page what it may do.
    """

    right = Right.NOTHING

    def read(self, request: Request) -> bytes:
        """
        Answer.
        """
        visitor = visitorOf(request)
        content = {"token": visitor.token or None, "right": visitor.right.name.lower()}
        return answer(request, {"session": content})


def _give(request: Request, cookies: Cookies, value: str, age: int) -> None:
    request.addCookie(
        cookies.name,
        value,
        path=b"/",
        max_age=str(age),
        secure=request.isSecure(),
        httpOnly=True,
        sameSite=b"strict",
    )
