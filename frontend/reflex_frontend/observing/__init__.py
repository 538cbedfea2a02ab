"""What looks on while robots are answered: metrics, traces, recordings, the shadow policy."""
