"""Where plans go: one package per data plane behind the protocol in base."""
