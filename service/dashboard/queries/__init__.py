"""What pages need from the database, read in few statements."""
