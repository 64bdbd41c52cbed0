"""The stand-in's papers: a CA, a server certificate for loopback, and what proves us to each vendor: a service account
of Google's, a signing key of Apple's, secrets of Huawei's and JPush's.

Made once per directory and kept, so that a stand-in that dies and comes back at the same port is the same
to its senders. Worth nothing outside this machine.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROJECT = "standin"
TOPIC = "cn.example.yijiantong"
LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Identity:
    endpoint: str
    token_uri: str
    client_email: str
    public_key: rsa.RSAPublicKey  # of the service account
    ca_file: Path
    cert_file: Path
    key_file: Path
    credentials_file: Path
    apns_key_file: Path
    apns_key: ec.EllipticCurvePublicKey
    secret: str  # of the app at Huawei and JPush


def new_identity(directory: Path, port: int) -> Identity:
    """Write (or find) ca.pem, cert.pem, key.pem, account.pem, apns.p8 and secret, and the account's JSON for this port."""
    ca_file, cert_file, key_file = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    account_file, apns_file, secret_file = (directory / name for name in ("account.pem", "apns.p8", "secret"))
    if not (account_file.exists() and apns_file.exists()):  # of an older run; the account is written last
        _certify(ca_file, cert_file, key_file)
        apns_file.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
        apns_file.chmod(0o600)
        secret_file.write_text(secrets.token_urlsafe(24))
        secret_file.chmod(0o600)
        account_file.write_bytes(_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    account = load_pem_private_key(account_file.read_bytes(), None)
    apns = load_pem_private_key(apns_file.read_bytes(), None)
    assert isinstance(account, rsa.RSAPrivateKey) and isinstance(apns, ec.EllipticCurvePrivateKey)
    endpoint = f"https://127.0.0.1:{port}"
    token_uri, client_email = f"{endpoint}/token", f"push@{PROJECT}.iam.gserviceaccount.com"
    credentials_file = directory / "service-account.json"
    credentials_file.write_bytes(
        orjson.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "standin",
                "private_key": _pem(account).decode(),
                "client_email": client_email,
                "client_id": "1",
                "token_uri": token_uri,
            }
        )
    )
    credentials_file.chmod(0o600)
    return Identity(
        endpoint,
        token_uri,
        client_email,
        account.public_key(),
        ca_file,
        cert_file,
        key_file,
        credentials_file,
        apns_file,
        apns.public_key(),
        secret_file.read_text(),
    )


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certify(ca_file: Path, cert_file: Path, key_file: Path) -> None:
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, word)]) for word in ("standin CA", "standin")
    )
    usage = {
        **dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ),
        **dict.fromkeys(("encipher_only", "decipher_only"), False),
    }
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        _blank(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
        .add_extension(ca_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    cert = (
        _blank(name, ca_name, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **usage), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    cert_file.write_bytes(cert.public_bytes(Encoding.PEM))
    key_file.write_bytes(_pem(key))
    key_file.chmod(0o600)


def _blank(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE)
    )
