"""What is in `docker/`, tried on a real engine."""
