// Placeholder of the target TenantManifest until its first file lands.
