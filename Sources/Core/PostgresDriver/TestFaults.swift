#if DEBUG
    import Glibc

    /// Planted bugs that prove what the tests can see. Builds for use have none: this file is empty there.
    package enum TestFaults {
        /// `MEDCLOUD_TEST_ANSWER_BEFORE_COMMIT=1`: a transaction's result is returned 0.2 s before it is committed, so
        /// that a kill in between loses what was acknowledged. The ledger of acknowledgements must find it.
        package static let answersBeforeCommit: Bool = {
            guard let value = unsafe getenv("MEDCLOUD_TEST_ANSWER_BEFORE_COMMIT") else { return false }
            return unsafe String(cString: value) == "1"
        }()
    }

    extension PostgresPool {
        /// The planted bug: commits after the caller has gone on.
        func commitLate(_ connection: PostgresConnection, _ session: PostgresSession) {
            // Not structured: that the caller does not wait is the bug.
            Task {
                try await Task.sleep(for: .milliseconds(200))
                try await connection.commit()
                connection.invalidate()
                self.release(session)
            }
        }
    }
#endif
