"""What is written to people who are asked to join a tenant. The tenant's name is somebody's choice: it is one line."""

from platform_api.kit.links import Links
from platform_api.kit.mail import Mail, one_line

NAME_CHARACTERS = 60


def invitation_mail(to: str, tenant_name: str, token: str, links: Links) -> Mail:
    """Asks somebody without an account to join."""
    name = one_line(tenant_name, longest=NAME_CHARACTERS)
    return Mail(
        to=to,
        subject=f"You are invited to “{name}” at Turbocat",
        text=f"""\
You are invited to join “{name}” at Turbocat.

{links.paragraph("accept-invitation", token)}

It works once, for one week. If you do not know who it is from, ignore this mail.
""",
    )


def added_mail(to: str, tenant_name: str) -> Mail:
    """Tells somebody with an account that they are a member now."""
    name = one_line(tenant_name, longest=NAME_CHARACTERS)
    return Mail(
        to=to,
        subject=f"You were added to “{name}” at Turbocat",
        text=f"""\
You are now a member of “{name}” at Turbocat. Log in and switch to it; you can leave it at any time.
""",
    )
