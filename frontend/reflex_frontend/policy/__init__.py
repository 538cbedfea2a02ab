"""A loaded policy and what keeps it answering: admission, inference, breaker, canary, reloading."""
