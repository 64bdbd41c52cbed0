"""The dry part of the water room: functions of (values, now); no Django, no clock, no network."""
