"""What is looked at before something begins: checks as they are told, and what makes a policy servable."""
