"""`manage.py canary [list] | add PHONE NAME [--region CODE] | remove PHONE`: the phones on the shelf, one a push vendor.

`add` puts the number on the roster with the duty `canary` and nothing else; then the phone signs in with the app and a
one-time code as any other, which registers its push token. From the next round (3 minutes) on it is flown.
"""

from datetime import datetime, timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from foundation import clock
from foundation.errors import Refusal
from hydrology.models import Level, Region
from notifications import canaries
from officers import audit, roster
from officers.models import Device, Duty, Officer, Post

SHOWN = timedelta(hours=1)


class Command(BaseCommand):
    help = "List the canary phones with their last round, add one to the roster, or take one off it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", nargs="?", choices=["list", "add", "remove"], default="list")
        parser.add_argument("phone", nargs="?", default="", help="its number")
        parser.add_argument("name", nargs="?", default="", help="what the pages call it")
        parser.add_argument("--region", default="", help="its region's code; the city unless told")

    def handle(self, *args: object, **options: object) -> None:
        now = clock.now()
        act, phone, name = (str(options[key]) for key in ("act", "phone", "name"))
        if act == "list":
            self._list(now)
            return
        if not phone or (act == "add" and not name):
            raise CommandError(
                "canary add PHONE NAME, canary remove PHONE: say which. 请给出号码（add 还须名称）。"
            )
        try:
            number = roster.normalise(phone)
        except Refusal as bad:
            raise CommandError(f"{bad.zh} {bad.en}") from None
        with transaction.atomic():
            if act == "add":
                self._add(number, name[:64], str(options["region"]), now)
            else:
                self._remove(number, now)

    def _list(self, now: datetime) -> None:
        last = {one.officer: one for one in canaries.flights(now - SHOWN)}
        phones: dict[int, str] = {}
        for post in canaries.posts(now).select_related("officer").order_by("id"):
            device = Device.objects.live().filter(officer=post.officer).first()
            phones[post.officer_id] = device.provider if device else ""
            flight = last.get(post.officer_id)
            trip = "no round yet" if flight is None else _said(flight, now)
            held = phones[post.officer_id] or "no push token: sign in on the phone"
            self.stdout.write(f"{post.officer.name}  {post.officer.masked_phone}  {held}  {trip}")
        for provider in sorted(canaries.providers() - set(phones.values())):
            self.stdout.write(f"{provider}: configured, but without a canary 已配置但没有探测手机")

    def _add(self, number: str, name: str, code: str, now: datetime) -> None:
        place = Region.objects.filter(pk=code) if code else Region.objects.filter(level=Level.CITY)
        region = place.order_by("code").first()
        if region is None:
            raise CommandError(f"There is no region {code!r}. 没有该区域。")
        officer = Officer.objects.filter(phone_digest=roster.digest(number)).first()
        if officer is None:
            officer = roster.enrol([roster.officer_row(name, number)])[0]
        elif Post.objects.active(now).filter(officer=officer).exclude(duty=Duty.CANARY).exists():
            raise CommandError(
                "This number belongs to a person with a post; a canary answers for nothing. Use another phone. "
                "该号码属于在岗人员，请换一部手机。"
            )
        Post.objects.update_or_create(
            officer=officer,
            duty=Duty.CANARY,
            region=region,
            station=None,
            defaults={"valid_from": now, "valid_to": None},
        )
        audit.record(None, "canary.add", f"officer:{officer.pk}", {"region": region.pk}, now)
        self.stdout.write(f"{officer.masked_phone} is a canary; now sign in with the app on that phone.")

    def _remove(self, number: str, now: datetime) -> None:
        held = canaries.posts(now).filter(officer__phone_digest=roster.digest(number))
        officers = list(held.values_list("officer", flat=True).distinct())
        if not officers:
            raise CommandError("This number is no canary's. 该号码不是探测手机。")
        Post.objects.filter(pk__in=list(held.values_list("pk", flat=True))).update(valid_to=now)
        for officer in officers:
            audit.record(None, "canary.remove", f"officer:{officer}", {}, now)
        self.stdout.write(f"{roster.mask(number)} is flown no more.")


def _said(flight: canaries.Flight, now: datetime) -> str:
    if flight.trip_s is not None:
        return f"back in {flight.trip_s:.1f} s"
    if not flight.over(now):
        return "on its way"
    return f"NOT BACK ({flight.fault or ('accepted, no answer' if flight.accepted_at else 'not accepted')})"
