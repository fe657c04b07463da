"""The service's protocol without I/O: routes, codec, errors, names, redaction."""
