// Placeholder of the target RegionalRecord until its first file lands.
