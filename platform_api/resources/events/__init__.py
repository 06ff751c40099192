"""Events from outside: they answer the WAIT steps that wait for them."""
