"""
Tests of C{bmff.transports.rdma} on a device: the guest's, which is made of software (rdma_rxe).
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bmff.ibmff import ITransport, TransportSettings
from bmff.testing import transports
from bmff.testing.requirements import requires
from bmff.testing.transports import TransportContract
from bmff.transports import rdma

PATIENCE = 20.0  # seconds
ADDRESS = "10.99.0.1"  # of the guest's device


@requires("rdma")
class RDMATests(TransportContract, TestCase):
    """
    RDMA keeps the contract.
    """

    reactor: Any = reactor
    address = ADDRESS

    def setUp(self) -> None:
        """
        The guest is slow.
        """
        self.patch(transports, "PATIENCE", PATIENCE)
        super().setUp()

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportContract.makeTransport}
        """
        return rdma.make(reactor, TransportSettings(port))
