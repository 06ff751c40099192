"""How the server tells the application that it is about to leave, while requests are still open.

ASGI's own `lifespan.shutdown` comes only after the last request has ended, which an event stream would not.
"""

LEAVE = "turbocat_leave"
"""Key of the lifespan's state: a function without arguments, which may be called more than once."""
