"""What the server says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhircast_demo.smart.settings import SmartSettings

Json = dict[str, Any]
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]
_CAPABILITIES = [
    "launch-ehr",
    "launch-standalone",
    "client-public",
    "client-confidential-symmetric",
    "sso-openid-connect",
    "permission-user",
    "permission-online",
    "permission-offline",
    "permission-v1",
    "permission-v2",
]
_SCOPES = [
    "fhircast/*.*",
    "fhircast/*.read",
    "fhircast/*.write",
    "user/*.cruds",
    "user/*.rs",
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "online_access",
    "offline_access",
]


def smart_configuration(settings: SmartSettings) -> Json:
    """Return `.well-known/smart-configuration` (SMART-06)."""
    return {
        "issuer": settings.issuer,
        "jwks_uri": settings.endpoint("jwks"),
        "authorization_endpoint": settings.endpoint("authorize"),
        "token_endpoint": settings.endpoint("token"),
        "introspection_endpoint": settings.endpoint("introspect"),
        "revocation_endpoint": settings.endpoint("revoke"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", *_AUTHENTICATION],
        "introspection_endpoint_auth_methods_supported": _AUTHENTICATION,
        "revocation_endpoint_auth_methods_supported": ["none", *_AUTHENTICATION],
        "scopes_supported": _SCOPES,
        "capabilities": _CAPABILITIES,
    }


def openid_configuration(settings: SmartSettings) -> Json:
    """Return `.well-known/openid-configuration` of the issuer."""
    return {
        **smart_configuration(settings),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "name", "fhirUser"],
    }


def security(settings: SmartSettings) -> Json:
    """Return `CapabilityStatement.rest.security`: older clients look nowhere else."""
    names = ("authorize", "token", "introspect", "revoke")
    uris = [{"url": name, "valueUri": settings.endpoint(name)} for name in names]
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": uris}],
        "cors": True,
        "service": [
            {
                "coding": [{"system": _SECURITY_SERVICE, "code": "SMART-on-FHIR"}],
                "text": "SMART App Launch, from a development server",
            }
        ],
    }
