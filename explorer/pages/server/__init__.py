"""Around the pages: routes, the door and its rights, visitors and what they hold."""
