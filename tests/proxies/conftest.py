from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.proxies.clients import SECRET, Certificate
from tests.support.servers import LiveServer


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = Certificate(*(directory / name for name in ("cert.pem", "key.pem", "both.pem")))
    made.certificate.write_bytes(certificate)
    made.key.write_bytes(private)
    made.both.write_bytes(certificate + private)
    return made


@pytest.fixture(scope="module")
def server(new_database: Callable[..., str]) -> Iterator[LiveServer]:
    """The server that stands behind the module's proxy."""
    # AUTH_MODE=jwt as in production: the one mode in which a public name is served.
    with LiveServer(
        new_database(), TRUSTED_PROXIES=1, AUTH_MODE="jwt", AUTH_JWT_SECRET=SECRET
    ) as running:
        yield running
