"""
What this distribution adds to bmff: one transport, whose module is imported when a node asks.
"""

from __future__ import annotations

from bmff.ibmff import ModuleTransport

acmeEndpoint = ModuleTransport("acme-endpoint", "acmeff.endpoint")
