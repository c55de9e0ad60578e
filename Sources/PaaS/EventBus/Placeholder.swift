// Placeholder of the target EventBus until its first file lands.
