"""CAP 1.2, the common language of alerts: values, XML out, XML in, signature. Dry: no Django, no network."""
