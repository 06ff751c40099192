"""Tables that come from elsewhere and go elsewhere: HTTP, object stores, databases, all behind the egress guard."""
