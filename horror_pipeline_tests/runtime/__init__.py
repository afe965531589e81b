"""What has to be up before a command works."""
