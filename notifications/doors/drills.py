"""Doors of drills that need the audience or the ledger: begin one, see how it was answered."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import drills as life
from alerts.assessment.drill_words import Act
from alerts.doors.drills import DrillOut, seen
from alerts.models import DrillState
from alerts.shapes import NoteIn
from foundation.clock import now
from foundation.errors import not_found
from notifications.drills import GRADES, WORST, grade, invited


class GradedStreet(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    people = serializers.IntegerField()
    messages = serializers.IntegerField(help_text="lines that were not stopped")
    delivered_share = serializers.FloatField(allow_null=True)
    confirmed_in_5min_share = serializers.FloatField(allow_null=True)
    median_confirm_s = serializers.IntegerField(allow_null=True)
    nobody = serializers.BooleanField(help_text="nobody here has confirmed anything he was asked to")


class GradeRule(serializers.Serializer[object]):
    grade = serializers.CharField()
    delivered_from = serializers.FloatField()
    confirmed_from = serializers.FloatField(help_text="not asked where nothing wanted a confirmation")
    nobody_to = serializers.FloatField(help_text="share of the streets")


class GradeOut(serializers.Serializer[object]):
    drill = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=DrillState.choices)
    as_of = serializers.DateTimeField()
    messages = serializers.IntegerField(help_text="first lines of its warnings and orders, renewals left out")
    bulletins = serializers.IntegerField()
    people = serializers.IntegerField()
    audience = serializers.IntegerField(help_text="who takes part")
    stopped = serializers.IntegerField(help_text="lines that a pause or the end stopped; in no share")
    delivered_share = serializers.FloatField(allow_null=True)
    confirmed_in_5min_share = serializers.FloatField(allow_null=True)
    median_confirm_s = serializers.IntegerField(allow_null=True)
    grade = serializers.ChoiceField(choices=[*(name for name, *_ in GRADES), WORST], allow_null=True)
    rule = GradeRule(many=True, help_text="the first that holds; else D")
    nobody = serializers.IntegerField(help_text="streets with nobody")
    streets = GradedStreet(many=True)
    warnings = serializers.IntegerField()
    orders = serializers.IntegerField()
    paused_s = serializers.IntegerField()


class DrillBegin(APIView):
    @extend_schema(operation_id="drill_begin", request=NoteIn, responses=DrillOut)
    def post(self, request: Request, pk: int) -> Response:
        """Begin it, by a commander who did not plan it: who takes part is fixed now, and told."""
        asked = NoteIn(data=request.data)
        asked.is_valid(raise_exception=True)
        note = asked.validated_data["note"]
        life.act(
            pk, Act.BEGIN, request.user.pk, request.auth.scope, now=now(), note=note, invite=invited
        )  # fmt: skip
        return Response(DrillOut(seen(request).get(pk=pk)).data)


class DrillGrade(APIView):
    @extend_schema(operation_id="drill_grade", responses=GradeOut)
    def get(self, request: Request, pk: int) -> Response:
        """Delivered and confirmed within five minutes, in all and by street; the time it rested does not count."""
        drill = seen(request).filter(pk=pk).first()
        if drill is None:
            raise not_found("演练", "drill")
        return Response(GradeOut(grade(drill, now())).data)
