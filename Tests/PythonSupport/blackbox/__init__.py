"""What the black-box suites share: a region of their own, HTTP, tokens, the FHIR definitions and a judge."""
