"""What happens in an execution, as it happens: Server-Sent Events over one LISTEN connection per process."""
