import Glibc

/// Texts of `errno` values.
enum SystemError {
    static func text(_ number: Int32) -> String {
        // "strerror … MT-Safe" since glibc 2.32: the buffer for unknown numbers is the thread's own (strerror(3)).
        String(cString: strerror(number)).lowercased()
    }
}
