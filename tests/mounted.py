"""An application of somebody else's that has the service below a path of its own, as the guide says."""

from starlette.applications import Starlette
from starlette.routing import Mount

from ferkit.web import create_app


def around(service):
    """Return an application that has this service below ``/faces``."""
    lifespan = service.router.lifespan_context
    return Starlette(routes=[Mount("/faces", service)], lifespan=lambda _: lifespan(service))


def application():
    """Return the same with the settings of ``ferkit serve``."""
    return around(create_app())
