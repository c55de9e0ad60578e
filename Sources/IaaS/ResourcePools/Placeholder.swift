// Placeholder of the target ResourcePools until its first file lands.
