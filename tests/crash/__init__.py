"""What is still there after a process was killed: servers and workers end at named points and at random instants."""
