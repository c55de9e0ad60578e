/// What `NOTIFY` sent.
package struct PostgresNotification: Sendable, Hashable {
    package let channel: String
    package let payload: String
    /// The sender's server process.
    package let processID: Int32
}

/// What a listener sees.
package enum PostgresListenEvent: Sendable, Hashable {
    /// The listening connection was made, or made again: notifications before this moment may have been missed, so read
    /// the truth from the tables now.
    case listening
    case notification(PostgresNotification)
}
