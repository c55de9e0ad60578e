#if MEDCLOUD_TEST_FAULTS
    import Glibc
    import PostgresDriver

    /// Faults planted to show that the checkers find them. Only in builds with `-Xswiftc -DMEDCLOUD_TEST_FAULTS`, and only
    /// when the environment asks for one.
    package enum TestFaults {
        /// `MEDCLOUD_TEST_ANSWER_BEFORE_COMMIT=1`: writes are answered before their commit is durable.
        package static let answersBeforeCommit = getenv("MEDCLOUD_TEST_ANSWER_BEFORE_COMMIT") != nil

        /// Makes the commit of the statement that follows in the same batch asynchronous.
        static let asynchronousCommit = PostgresStatement("select set_config('synchronous_commit', 'off', true)")
    }
#endif
