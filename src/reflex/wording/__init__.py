"""Parts of messages that depend on where Reflex runs, or on a number: lines to type, pages to read, nouns."""
