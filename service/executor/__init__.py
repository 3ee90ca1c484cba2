"""Where numerics run: a child process, and the service's end of it."""
