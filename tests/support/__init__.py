"""What tests share: processes, services, databases, browsers."""
