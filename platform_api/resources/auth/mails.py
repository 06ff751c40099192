"""What is written to people about their account. Nothing that somebody else could have chosen stands in it."""

from platform_api.kit.links import Links
from platform_api.kit.mail import Mail


def verification_mail(to: str, token: str, links: Links) -> Mail:
    """Asks for a proof that the address is theirs."""
    return Mail(
        to=to,
        subject="Confirm your address for Turbocat",
        text=f"""\
An account at Turbocat was opened with this address.

{links.paragraph("verify-email", token)}

It works once, for one day. If it was not you, ignore this mail.
""",
    )


def reset_mail(to: str, token: str, links: Links) -> Mail:
    """Lets them choose a new password."""
    return Mail(
        to=to,
        subject="Choose a new password for Turbocat",
        text=f"""\
Somebody asked for a new password for the Turbocat account with this address.

{links.paragraph("reset-password", token)}

It works once, for one hour. If it was not you, ignore this mail: nothing has changed.
""",
    )


def password_changed_mail(to: str) -> Mail:
    """Tells them, in case it was somebody else."""
    return Mail(
        to=to,
        subject="Your password for Turbocat was changed",
        text="""\
The password of the Turbocat account with this address has just been changed, and every session was ended.

If it was not you, ask for a new password at once, and tell those who run Turbocat for you.
""",
    )
