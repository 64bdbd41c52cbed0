"""`manage.py sign_out WHO`: a lost phone. Ends all sessions of a person and rings none of his devices any more.

WHO is his staff code (工号), else his number. He signs in anew by a one-time code; audited.
"""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import now
from foundation.errors import Refusal
from officers import auth, roster
from officers.models import Officer


class Command(BaseCommand):
    help = "Sign a person out on all devices and stop ringing them: a lost phone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="staff code 工号, or number")

    def handle(self, *args: object, **options: object) -> None:
        who = str(options["who"])
        officer = Officer.objects.of_staff(who).first() or _numbered(who)
        if officer is None:
            raise CommandError("Nobody has this staff code or number. 没有该工号或号码的人员。")
        sessions, phones = auth.sign_out_everywhere(officer.pk, now())
        self.stdout.write(
            f"{officer.name} {officer.masked_phone}: 已退出 signed out {sessions}, 不再呼叫 rung no more {phones}"
        )


def _numbered(phone: str) -> Officer | None:
    try:
        digest = roster.digest(roster.normalise(phone))
    except Refusal:
        return None
    return Officer.objects.filter(phone_digest=digest).first()
