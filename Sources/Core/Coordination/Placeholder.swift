// Placeholder of the target Coordination until its first file lands.
