"""The one writer: changes in, plan changes and statuses out."""
