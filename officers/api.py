"""The doors of sign-in and of the officer's own page: `auth/…` and `me`. Nothing is decided here.

A phone number travels only in a request's body, never in an address; answers carry the masked number.
"""

from datetime import datetime

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation import clock
from officers import auth, codes, devices, directory, oidc, tickets
from officers.devices import DeviceClaim
from officers.models import Duty, Officer, Platform, Post, PushVendor, Rank


class BearerScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document names our sign-in."""

    target_class = "officers.auth.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class ShenzhenTimeField(serializers.DateTimeField):
    """ISO 8601 with +08:00, to the second."""

    def to_representation(self, value: datetime) -> str | None:
        return clock.iso(value)


class CodeRequestSerializer(serializers.Serializer[object]):
    phone = serializers.CharField(max_length=32, help_text="11 digits, or + and the country code")


class PushSerializer(serializers.Serializer[object]):
    provider = serializers.ChoiceField(choices=PushVendor.choices)
    token = serializers.CharField(max_length=512)


class SignInDeviceSerializer(serializers.Serializer[object]):
    platform = serializers.ChoiceField(choices=Platform.choices)
    name = serializers.CharField(max_length=64, default="", allow_blank=True)
    push = PushSerializer(
        required=False, allow_null=True, help_text="absent: reached through the socket only"
    )


class OnDeviceSerializer(serializers.Serializer[object]):
    device = SignInDeviceSerializer()

    def claim(self) -> DeviceClaim:
        """The validated device as the room knows it."""
        device = self.validated_data["device"]
        push = device.get("push") or {}
        return DeviceClaim(Platform(device["platform"]), device["name"], **push)


class SignInSerializer(CodeRequestSerializer, OnDeviceSerializer):
    code = serializers.RegexField(r"^[0-9]{6}$")


class PortalBegunSerializer(serializers.Serializer[object]):
    authorize_url = serializers.CharField(help_text="open it in the browser, or in a web view of the app")
    flow = serializers.CharField(help_text="keep it on the device; it goes nowhere but back to us")
    expires_in_s = serializers.IntegerField()


class PortalSignInSerializer(serializers.Serializer[object]):
    flow = serializers.CharField(max_length=4096, help_text="of auth/oidc/start, on this device")
    code = serializers.CharField(max_length=2048, help_text="from the address the portal sent the browser to")
    state = serializers.CharField(max_length=128, help_text="from the same address")
    iss = serializers.CharField(
        max_length=512, default=None, allow_null=True, help_text="from the same address, where it has one"
    )


class RefreshSerializer(serializers.Serializer[object]):
    refresh = serializers.CharField(max_length=512)


class TokensSerializer(serializers.Serializer[object]):
    access = serializers.CharField(help_text="15 minutes, as Authorization: Bearer")
    refresh = serializers.CharField(help_text="used once")


class SignedInOfficerSerializer(serializers.Serializer[Officer]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    phone = serializers.CharField(source="masked_phone", help_text="138****1234")
    language = serializers.CharField()


class SignedInSerializer(TokensSerializer):
    officer = SignedInOfficerSerializer()


class TicketSerializer(serializers.Serializer[object]):
    ticket = serializers.CharField(help_text="one use, for the socket's hello")
    expires_in_s = serializers.IntegerField()


class MyRegionSerializer(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.CharField(help_text="city, district, street, community or frontline")


class MyPostSerializer(serializers.Serializer[Post]):
    duty = serializers.ChoiceField(choices=Duty.choices)
    rank = serializers.ChoiceField(choices=Rank.choices)
    position = serializers.CharField(
        help_text="岗位编号, may be empty: A and B of one stand in for each other"
    )
    region = MyRegionSerializer()
    station = serializers.CharField(source="station_id", allow_null=True)
    valid_from = ShenzhenTimeField()
    valid_to = ShenzhenTimeField(allow_null=True)


class MeSerializer(serializers.Serializer[object]):
    officer = SignedInOfficerSerializer()
    posts = MyPostSerializer(many=True)
    regions = MyRegionSerializer(many=True)
    duty = serializers.ListField(child=serializers.ChoiceField(choices=Duty.choices))


class MyDeviceSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="device.pk")
    platform = serializers.ChoiceField(choices=Platform.choices, source="device.platform")
    name = serializers.CharField(source="device.name", help_text="as given at sign-in, may be empty")
    registered_at = ShenzhenTimeField(source="device.registered_at")
    last_used_at = ShenzhenTimeField(help_text="to within 15 minutes; an open socket alone does not count")
    current = serializers.BooleanField(help_text="the one that asks")


class MyDevicesSerializer(serializers.Serializer[object]):
    items = MyDeviceSerializer(many=True)


class _OpenView(APIView):
    """A door for people who are not signed in yet."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class OtpView(_OpenView):
    @extend_schema(
        operation_id="auth_otp",
        request=CodeRequestSerializer,
        responses={202: OpenApiResponse(description="A code is on its way if the number is known.")},
    )
    def post(self, request: Request) -> Response:
        """Ask for a one-time code: one a minute, ten an hour from one address. Every number is answered alike."""
        asked = CodeRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        codes.request_code(asked.validated_data["phone"], clock.now(), _source(request))
        return Response(status=status.HTTP_202_ACCEPTED)


def _source(request: Request) -> str:
    """Where it comes from: of the addresses that proxies note, only those of our own TRUSTED_PROXIES are believed."""
    noted = request.headers.get("X-Forwarded-For", "").split(",")
    believed = 0 < settings.TRUSTED_PROXIES <= len(noted)
    address = noted[-settings.TRUSTED_PROXIES] if believed else request.META.get("REMOTE_ADDR", "")
    return codes.source_of(address.strip())


def _signed_in(signed_in: auth.SignedIn) -> Response:
    answer = {
        "access": signed_in.tokens.access,
        "refresh": signed_in.tokens.refresh,
        "officer": signed_in.officer,
    }
    return Response(SignedInSerializer(answer).data, status=status.HTTP_201_CREATED)


class SessionsView(_OpenView):
    @extend_schema(operation_id="auth_sign_in", request=SignInSerializer, responses={201: SignedInSerializer})
    def post(self, request: Request) -> Response:
        """Sign in with a one-time code; the push token moves to this device."""
        asked = SignInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = asked.validated_data
        return _signed_in(
            auth.sign_in(fields["phone"], fields["code"], asked.claim(), clock.now(), _source(request))
        )


class PortalStartView(_OpenView):
    @extend_schema(
        operation_id="auth_oidc_start", request=OnDeviceSerializer, responses={201: PortalBegunSerializer}
    )
    def post(self, request: Request) -> Response:
        """Begin to sign in through the city's portal (圳应急), on this device; 404 `no_portal` where there is none."""
        asked = OnDeviceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        begun = oidc.begin(asked.claim(), clock.now())
        answer = {
            "authorize_url": begun.authorize_url,
            "flow": begun.flow,
            "expires_in_s": int(oidc.LIFE.total_seconds()),
        }
        return Response(PortalBegunSerializer(answer).data, status=status.HTTP_201_CREATED)


class PortalSessionsView(_OpenView):
    @extend_schema(
        operation_id="auth_oidc_sign_in", request=PortalSignInSerializer, responses={201: SignedInSerializer}
    )
    def post(self, request: Request) -> Response:
        """Sign in with what the portal sent back; once, within ten minutes, by who began it."""
        asked = PortalSignInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = asked.validated_data
        return _signed_in(
            oidc.sign_in(fields["flow"], fields["code"], fields["state"], fields["iss"], clock.now())
        )


class RefreshView(_OpenView):
    @extend_schema(operation_id="auth_refresh", request=RefreshSerializer, responses={200: TokensSerializer})
    def post(self, request: Request) -> Response:
        """The next pair of tokens. A refresh token that was already used ends the session."""
        asked = RefreshSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return Response(TokensSerializer(auth.refresh(asked.validated_data["refresh"], clock.now())).data)


class CurrentSessionView(APIView):
    @extend_schema(operation_id="auth_sign_out", request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out; this device is no longer rung."""
        auth.sign_out(request.auth, clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class TicketsView(APIView):
    @extend_schema(operation_id="auth_ticket", request=None, responses={201: TicketSerializer})
    def post(self, request: Request) -> Response:
        """A one-use pass for the socket."""
        ticket = tickets.issue_ticket(request.auth, clock.now())
        answer = {"ticket": ticket, "expires_in_s": int(tickets.TICKET_LIFE.total_seconds())}
        return Response(TicketSerializer(answer).data, status=status.HTTP_201_CREATED)


class MeView(APIView):
    @extend_schema(operation_id="me", responses={200: MeSerializer})
    def get(self, request: Request) -> Response:
        """Who I am, my posts in force, the regions I answer for and my duties there."""
        posts = list(directory.posts_of(request.auth.officer_id, clock.now()))
        answer = {
            "officer": request.user,
            "posts": posts,
            "regions": list(dict.fromkeys(post.region for post in posts)),
            "duty": list(dict.fromkeys(post.duty for post in posts)),
        }
        return Response(MeSerializer(answer).data)


class PushView(APIView):
    @extend_schema(operation_id="me_device_push", request=PushSerializer, responses={204: None})
    def put(self, request: Request) -> Response:
        """Give this device its push token; whichever device had it is retired."""
        asked = PushSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        grant = request.auth
        devices.give_token(grant.device_id, grant.officer_id, **asked.validated_data, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class MyDevicesView(APIView):
    @extend_schema(operation_id="me_devices", responses={200: MyDevicesSerializer})
    def get(self, request: Request) -> Response:
        """My devices that are signed in, the one that was used last first."""
        return Response(MyDevicesSerializer({"items": auth.signed_in_on(request.auth, clock.now())}).data)


class MyDeviceView(APIView):
    @extend_schema(operation_id="me_device_remove", request=None, responses={204: None})
    def delete(self, request: Request, device: int) -> Response:
        """Sign a device of mine out, a lost phone: its sessions end, its socket closes, it is no longer rung."""
        auth.remove_device(request.auth, device, clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
