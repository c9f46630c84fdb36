"""What the console shows, as plain data: nothing is judged here, everything is as the objects and the readings say it."""
