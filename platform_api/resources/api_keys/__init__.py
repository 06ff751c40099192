"""Keys for programs: of users, with scopes, and of projects."""
