"""The broker's calls, with nothing but the standard library."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request


class BrokerError(Exception):
    """The broker refused a call: `status` and `detail` are its answer."""

    def __init__(self, status, detail):
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class Broker:
    """One caller: a robot with its key, or an operator with a token."""

    def __init__(self, url, key=None, token=None, certificate=None):
        self.url = url.rstrip("/") + "/api/v1"
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["X-Robot-API-Key"] = key
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.tls = ssl.create_default_context(cafile=certificate) if url.startswith("https") else None

    async def log_in(self, email, password):
        reply = await self.call("POST", "/auth/login", {"email": email, "password": password})
        self.headers["Authorization"] = f"Bearer {reply['token']}"
        return reply

    async def call(self, method, path, body=None):
        """The reply's JSON; None if it has no body."""
        return await asyncio.to_thread(self._call, method, path, body)

    def _call(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.tls) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            try:
                detail = json.loads(text)["detail"]
            except (ValueError, KeyError, TypeError):
                detail = text[:200]
            raise BrokerError(error.code, detail) from None
        return json.loads(text) if text else None
