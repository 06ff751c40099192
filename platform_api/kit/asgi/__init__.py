"""What stands around the application: pure ASGI, so that streams pass through untouched and context variables hold."""
