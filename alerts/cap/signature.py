"""XML-DSig over a CAP message, enveloped, by signxml: who said it, and that nobody changed it.

Owns signing with our key and checking against certificates we were given beforehand; a certificate that comes with a
message proves nothing by itself. Source: CAP 1.2 section 3.3.4 (digital signatures).
"""

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import XMLVerifier

from alerts.cap.values import BadCap
from alerts.cap.xml import parse


def sign(message: bytes, key: bytes, certificate: bytes) -> bytes:
    """The message with a signature at its end; key and certificate in PEM (RSA)."""
    signed = XMLSigner().sign(parse(message), key=key, cert=certificate.decode())
    return bytes(etree.tostring(signed, xml_declaration=True, encoding="UTF-8"))


def certificates(bundle: bytes) -> list[bytes]:
    """Each certificate of a PEM file of several. Raises ValueError where there is none."""
    return [one.public_bytes(Encoding.PEM) for one in x509.load_pem_x509_certificates(bundle)]


def verified(message: bytes, trusted: Iterable[bytes]) -> bytes:
    """What was signed by one of the trusted certificates (PEM), as bytes. Raises BadCap `Signature`."""
    root = parse(message)
    for certificate in trusted:
        try:
            result = XMLVerifier().verify(root, x509_cert=certificate.decode())
        except (SignXMLException, etree.XMLSyntaxError, ValueError):
            continue
        content = (result if not isinstance(result, list) else result[0]).signed_xml
        if content is not None:
            return bytes(etree.tostring(content, xml_declaration=True, encoding="UTF-8"))
    raise BadCap(
        "Signature", "is missing, broken or of somebody unknown", "sign with a registered certificate"
    )
