"""A repository as a whole: an extension of the protocol."""

from holdfast.api.services import Services
from holdfast.api.wire import Answer, Request


async def delete(services: Services, request: Request) -> Answer:
    """Remove the repository with its tags, manifests and blobs."""
    await services.repositories.delete(request.repository, request.actor.name)
    return Answer(202)
