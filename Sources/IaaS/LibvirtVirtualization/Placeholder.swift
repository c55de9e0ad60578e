// Placeholder of the target LibvirtVirtualization until its first file lands.
