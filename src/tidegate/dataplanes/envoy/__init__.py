"""The Envoy data plane: a plan becomes xDS resources for a supervised Envoy."""
