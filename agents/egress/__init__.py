"""The egress guard: the one way in which the platform opens connections on behalf of a tenant.

    transports = Transports()
    async with httpx2.AsyncClient(transport=transports.get(policy), trust_env=False) as client: ...

Whoever sends requests does it through a transport of this package. Whoever hands a URL to a library that connects by
itself asks `Guard.check_endpoint` first. A test of the architecture names the few other places that open connections.
"""
