"""The dashboard: pages for people, rendered here. What they read and do goes through the operations of the API."""
