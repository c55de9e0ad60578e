// Placeholder of the target RecordSharing until its first file lands.
