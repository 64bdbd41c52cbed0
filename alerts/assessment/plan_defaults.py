"""The first table of plans, until an authority sets its own: hazard x level x city, district and street.

Source: project domain notes 2 (levels, title and duties of published emergency notices, confidence H) and 4 (who
answers for what, H). The plan texts themselves were not readable: minutes, hours, who is added at which level and which
sectors are suggested are design guesses (L), and the table's note says so. Five stops are only suggested: 2023-09-08 saw
停课 citywide at Ⅱ, the others by district.
"""

from typing import Any, Final

from alerts.assessment.plans import AUTHORITIES, LEVELS, PLACES, parse_plans

NOTE: Final = (
    "职责取自已公开的紧急通知；签收时限、任务时限、报送间隔、各级新增责任人和五停建议为设计推定，请按本级预案修订。 / "
    "Duties follow published notices; time limits, reporting periods, who is added at which level and the suggested "
    "five stops are design guesses: set them by your own plan."
)
_HAZARDS: Final = {
    "flood": ("防汛", "Flood", "低洼易涝点、河道、小型水库和山塘、危险边坡、在建工地、危房旧屋"),
    "rainstorm": ("暴雨内涝", "Rainstorm", "低洼易涝点、下沉隧道、地下空间、危险边坡、在建工地、危房旧屋"),
}
_SPOTS_EN: Final = {
    "flood": "low-lying spots, rivers, small reservoirs and ponds, slopes, building sites and unsafe houses",
    "rainstorm": "low-lying spots, underpasses, basements, slopes, building sites and unsafe houses",
}
_NAMES: Final = {"watch": "关注级", "IV": "Ⅳ级", "III": "Ⅲ级", "II": "Ⅱ级", "I": "Ⅰ级"}
_WHERE: Final = {"city": ("市", "city"), "district": ("区", "district"), "street": ("街道", "street")}
_CALLS: Final = {
    "watch": (
        "请各责任人保持通信畅通，密切关注雨情水情，做好值班值守和队伍、物资准备。",
        "Stay reachable, watch rain and water levels, and have people and material ready.",
    ),
    "IV": (
        "各级领导带班值守，三防责任人上岗到位，巡查{spots}，道路积水处置队伍就位，发现灾情险情立即上报。",
        "Leaders stand their watch; officers go to their posts and inspect {spots}; drainage teams take position; "
        "report any danger at once.",
    ),
    "III": (
        "各级领导靠前指挥，三防责任人立即到岗，停止涉河、高边坡和深基坑作业，加密巡查{spots}，"
        "及时转移危险区域人员，发现灾情险情立即上报。",
        "Leaders command on the spot; officers go to their posts now; stop work in rivers, on slopes and in pits; inspect "
        "{spots} again and again; move people out of danger areas; report any danger at once.",
    ),
    "II": (
        "全体三防责任人立即到岗，停止户外和涉水作业，逐户转移危险区域人员，开放避险场所，按令落实停课等措施，"
        "险情随时上报。",
        "All officers go to their posts now; stop work outdoors and in water; move everybody out of danger areas; open "
        "shelters; carry out the ordered stops; report any danger at once.",
    ),
    "I": (
        "全力转移危险区域人员，人员不漏一户，按令实施停工、停业、停产、停运、停课，抢险队伍全部到位，险情随时上报。",
        "Move everybody out of danger areas, house by house; carry out the ordered stops; all rescue teams in position; "
        "report any danger at once.",
    ),
}  # fmt: skip
_BASE_MIN: Final = {"watch": 240, "IV": 120, "III": 60, "II": 30, "I": 20}
_DEADLINE_MIN: Final = {"watch": 120, "IV": 60, "III": 30, "II": 15, "I": 10}
_REPORT_H: Final = {"watch": None, "IV": 12, "III": 6, "II": 3, "I": 1}
_DUTIES: Final = {
    "watch": ["flood"],
    "IV": ["flood", "reporter"],
    "III": ["command", "flood", "reporter", "forest"],
    "II": ["command", "flood", "reporter", "forest"],
    "I": ["command", "flood", "reporter", "forest"],
}
_SECTORS: Final = {"II": ["school"], "I": ["school", "work", "production", "transport", "business"]}
# duty, level of the post, from which response level on, share of _BASE_MIN, zh, en
_TASKS: Final = (
    ("command", "", "III", 0.5, "到岗带班，靠前指挥，会商研判，部署防御。", "Take command on the spot; assess and direct."),
    ("desk", "", "watch", 0.5, "值班值守，核对责任人签收，未签收的逐一叫应。",
     "Stand watch; call everybody who has not confirmed."),
    ("flood", "district", "IV", 1, "督导各街道责任人到岗，预置排涝、抢险队伍和物资。",
     "See that street officers are at their posts; place drainage and rescue teams and material."),
    ("flood", "street", "IV", 1, "组织巡查{spots}，积水处置队伍就位。", "Have {spots} inspected; drainage teams in position."),
    ("flood", "street", "III", 1, "停止涉河、高边坡、深基坑等危险作业，开放避险场所。",
     "Stop work in rivers, on slopes and in pits; open shelters."),
    ("flood", "community", "watch", 1, "检查责任区易涝点和排水口，提醒沿街商铺和居民。",
     "Check low spots and drains of your area; warn shops and residents."),
    ("flood", "community", "III", 1.5, "通知并转移危险区域人员，清点人数，核实去向。",
     "Move people out of danger areas; count them and know where they are."),
    ("flood", "frontline", "IV", 0.5, "到点巡查，发现积水、滑坡、管涌等险情先警戒并立即上报。",
     "Inspect your spot; cordon off and report flooding, slides or leaks at once."),
    ("reporter", "", "IV", 2, "收集并上报灾情险情，无灾情也报告。",
     "Collect and report damage and danger, also when there is none."),
    ("forest", "", "III", 1, "排查林区和登山道，劝返游人，封闭危险路段。",
     "Check forests and trails; send visitors back; close dangerous parts."),
)  # fmt: skip


def _row(hazard: str, level: str, authority: str) -> dict[str, Any]:
    noun, noun_en, spots = _HAZARDS[hazard]
    call_zh, call_en = _CALLS[level]
    where_zh, where_en = _WHERE[authority]

    def zh(text: str) -> str:
        return text.replace("{spots}", spots)

    def en(text: str) -> str:
        return text.replace("{spots}", _SPOTS_EN[hazard])

    gravity = LEVELS.index(level)
    tasks = [
        {"duty": duty, "level": place, "text_zh": zh(text_zh), "text_en": en(text_en), "due_min": int(share * _BASE_MIN[level])}
        for duty, place, least, share, text_zh, text_en in _TASKS
        if LEVELS.index(least) <= gravity and (not place or PLACES.index(place) >= PLACES.index(authority))
    ]  # fmt: skip
    return {
        "key": f"{hazard}-{level}-{authority}",
        "name_zh": f"{noun}{_NAMES[level]}应急响应（{where_zh}级）",
        "name_en": f"{noun_en} response, level {level}, {where_en}",
        "hazard": hazard,
        "level": level,
        "authority_level": authority,
        "title_zh": f"关于{{action}}{noun}{{level}}应急响应的紧急通知",
        "title_en": f"{noun_en} response of {{authority}} {{action}}: {{level}}",
        "text_zh": f"{{authority}}三防指挥部决定在{{areas}}{{action}}{noun}{{level}}应急响应。{zh(call_zh)}",
        "text_en": f"{noun_en} response {{action}} for {{areas}}: {{level}}. {en(call_en)}",
        "duties": _DUTIES[level],
        "deadline_min": _DEADLINE_MIN[level],
        "valid_h": 24,
        "report_every_h": _REPORT_H[level],
        "tasks": tasks,
        "measures": [{"sector": sector} for sector in _SECTORS.get(level, []) if authority != "street"],
    }


DEFAULT_ROWS: Final[dict[str, Any]] = {
    "note": NOTE,
    "plans": [
        _row(hazard, level, authority) for hazard in _HAZARDS for level in LEVELS for authority in AUTHORITIES
    ],
}
DEFAULT: Final = parse_plans(DEFAULT_ROWS)
