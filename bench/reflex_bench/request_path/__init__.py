"""The path of one request, through the frontend and without it."""
