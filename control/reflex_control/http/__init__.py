"""The HTTP side: who asks, what is asked, the routes and their one error envelope."""
