"""What a user of the control plane is known by, and where it is: the credentials file, and which key and URL count."""
