"""Templates: everything they show is escaped, and what they lack is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.dashboard import assets, colours, fit_words, session, words
from service.dashboard.charts.figure import objective_label
from service.dashboard.navigation import STUDY_LINKS
from service.schemas import StudySpec
from service.study import points, trainer_files, waiting

log = structlog.get_logger()

TEMPLATES = Path(__file__).parent / "templates"

UNMADE = (
    "<body><main><p>A fault of the service: this page could not be read. Its log has the cause; "
    "load the page again to try once more.</p></main></body></html>"
)
"""What follows the head of a page whose rest could not be made."""


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "points": words.points,
        "signed": words.gain,
        "margin": words.margin,
        "room": points.room,
        "share": words.share,
        "mixture": words.mixture,
        "elided": words.elided,
        "zip": zip,
        "duration": words.duration,
        "rough": words.rough,
        "hours": words.hours,
        "chance": words.chance,
        "count": words.count,
        "trials": words.trials,
        "last_line": waiting.last_line,
        "quantity": words.quantity,
        "as_json": words.as_json,
        "changed": words.changed,
        "changed_path": words.changed_path,
    }
    made.globals |= {
        "asset": lambda name: f"/ui/static/{assets.version()}/{name}",
        "grouped": colours.grouped,
        "look": colours.look,
        "rewards_by_domain": _rewards,
        "objective_label": objective_label,
        "fit_words": fit_words,
        "trainers": trainer_files.TITLES,
        "z95": words.Z95,
        "study_links": STUDY_LINKS,
        "study_url": _study_url,
        "trial_url": lambda study, number: f"{_study_url(study)}/trials/{number}",
    }
    return made


def _study_url(study: StudySpec) -> str:
    return f"/ui/studies/{quote(study.name)}"


def _rewards(
    domains: Sequence[str], metrics: Mapping[str, float]
) -> list[tuple[str, colours.Look, float]]:
    """Latest mean reward of each domain, as the trainer reports it under `reward/<domain>`."""
    return [
        (domain, look, metrics[f"reward/{domain}"])
        for domain, look in colours.looks(domains).items()
        if f"reward/{domain}" in metrics
    ]


_templates = _environment()


def piece(template: str, **shown: Any) -> str:
    """A template as HTML."""
    return _templates.get_template(template).render(**shown)


def render(request: Request, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """A whole page, with the token its calls need."""
    cookie = session.cookie_of(request) or session.visitor()
    answer = HTMLResponse(piece(template, **_of_caller(request, cookie), **shown), status)
    _keep(request, answer, cookie)
    return answer


def render_head_first(request: Request, template: str, **shown: Any) -> StreamingResponse:
    """The same, the page's head sent before the rest is made: a browser loads what it names, such
    as a long script, meanwhile. What takes long to read is a function that the template calls in
    its content; nothing may be wrong with the request any more."""
    cookie = session.cookie_of(request) or session.visitor()
    parts = _head_first(template, **_of_caller(request, cookie), **shown)
    answer = StreamingResponse(parts, media_type="text/html")
    _keep(request, answer, cookie)
    return answer


def _head_first(template: str, **shown: Any) -> Iterator[str]:
    pieces = _templates.get_template(template).generate(**shown)
    head = []
    for made in pieces:
        head.append(made)
        if "</head>" in made:
            break
    yield "".join(head)
    try:
        rest = "".join(pieces)
    except Exception:  # too late for another status
        log.exception("fault", template=template)
        rest = UNMADE
    yield rest


def _of_caller(request: Request, cookie: str) -> dict[str, Any]:
    """What every page has of who looks at it."""
    signed_in = getattr(request.state, "signed_in", None)
    return {"csrf": session.token(cookie), "signed_in": signed_in}


def _keep(request: Request, answer: Response, cookie: str) -> None:
    """Lets the browser keep the cookie, if it came without one."""
    if session.cookie_of(request) is None:
        session.keep(request, answer, cookie)
