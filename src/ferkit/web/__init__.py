"""Recognition for browsers and other programs: REST, a stream of camera frames, and a page; never torch."""

from ferkit.web.app import create_app as create_app
from ferkit.web.settings import Settings as Settings
