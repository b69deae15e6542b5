"""The addresses that are not about one repository."""

from holdfast.api.services import Services
from holdfast.api.wire import JSON, Answer, Request, encoded, json_text
from holdfast.model.pagination import next_link, parse_page


def json_answer(content: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, [JSON], json_text(content))


async def ping(services: Services, request: Request) -> Answer:  # noqa: ARG001
    """End-1: this is a registry, and the credentials are good."""
    return Answer(200, [JSON], b"{}")


async def root(services: Services, request: Request) -> Answer:  # noqa: ARG001
    """For load balancers, which ask for / by default."""
    return Answer(200, [(b"content-type", b"text/plain")], b"Holdfast, a container registry: see /v2/\n")


async def live(services: Services, request: Request) -> Answer:  # noqa: ARG001
    """The process answers."""
    return json_answer({"status": "ok"})


async def ready(services: Services, request: Request) -> Answer:  # noqa: ARG001
    """Whether pulls and pushes would work now: 503 only where not even pulls do."""
    report = await services.health.report()
    return json_answer(report, 200 if report["read"] else 503)


async def catalog(services: Services, request: Request) -> Answer:
    """The names of repositories, page by page."""
    page = parse_page(request.query("n"), request.query("last"), services.limits.catalog)
    names = await services.repositories.catalog(page)
    answer = json_answer({"repositories": names[: page.limit]})
    if len(names) > page.limit > 0:
        answer.headers.append(encoded("Link", next_link(f"{services.prefix}/v2/_catalog", page, names[page.limit - 1])))
    return answer


async def extensions(services: Services, request: Request) -> Answer:  # noqa: ARG001
    """The extensions of the protocol that this registry has."""
    found = [
        {
            "name": "_holdfast",
            "description": "Deleting a whole repository: DELETE /v2/<name>/_holdfast/repository",
            "endpoints": ["_holdfast/repository"],
        }
    ]
    return json_answer({"extensions": found})
