"""The clients speak TLS where they are given credentials, as an edge that ends it wants."""

import ipaddress
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_client import AsyncClient, Client, TandemError


@dataclass(frozen=True)
class Edge:
    """A server behind TLS, and the certificate by which it is known."""

    address: str
    certificate: bytes


class _Servicer(recommender_pb2_grpc.RecommenderServiceServicer):
    def Recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:
        return pb.RecommendResponse(request_id=request.user_id)


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    key, certificate = _certificate()
    server = grpc.server(ThreadPoolExecutor(2))
    recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(_Servicer(), server)  # type: ignore[abstract]
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    yield Edge(f"127.0.0.1:{port}", certificate)
    server.stop(0)


def test_the_blocking_client_speaks_tls(edge: Edge) -> None:
    credentials = grpc.ssl_channel_credentials(edge.certificate)
    with Client(edge.address, credentials=credentials) as client:
        assert client.recommend("u1").request_id == "u1"


async def test_the_asynchronous_client_speaks_tls(edge: Edge) -> None:
    credentials = grpc.ssl_channel_credentials(edge.certificate)
    async with AsyncClient(edge.address, credentials=credentials) as client:
        assert (await client.recommend("u1")).request_id == "u1"


def test_a_server_that_is_not_known_gets_no_call(edge: Edge) -> None:
    _, other = _certificate()
    credentials = grpc.ssl_channel_credentials(other)
    with Client(edge.address, 0.5, credentials) as client, pytest.raises(TandemError):
        client.recommend("u1")


def _certificate() -> tuple[bytes, bytes]:
    """A key, and a certificate that it signed for 127.0.0.1 itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return private, certificate.public_bytes(pem)
