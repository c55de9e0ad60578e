import CloudModel
import Testing

@testable import ClinicalData

struct SearchCursorTests {
    private let cursors = SearchCursor(key: Array(repeating: 7, count: 32))
    private let position = SearchPosition(
        keys: ["2024-01-01 00:00:00+00", nil, ""], rid: 41)
    private let h1 = TenantID("h1")
    private let h2 = TenantID("h2")

    @Test func `a cursor gives back its position`() throws {
        let tenant = try #require(h1)
        let text = cursors.text(position, tenant: tenant, query: "Patient?a=b")
        #expect(try cursors.position(text, tenant: tenant, query: "Patient?a=b", keys: 3) == position)
    }

    @Test func `another tenant, query, key or shape refuses it in the same words`() throws {
        let (tenant, other) = (try #require(h1), try #require(h2))
        let text = cursors.text(position, tenant: tenant, query: "Patient?a=b")
        let strange = SearchCursor(key: Array(repeating: 8, count: 32))
        #expect(throws: SearchError.badCursor) {
            try cursors.position(text, tenant: other, query: "Patient?a=b", keys: 3)
        }
        #expect(throws: SearchError.badCursor) {
            try cursors.position(text, tenant: tenant, query: "Patient?a=c", keys: 3)
        }
        #expect(throws: SearchError.badCursor) {
            try cursors.position(text, tenant: tenant, query: "Patient?a=b", keys: 2)
        }
        #expect(throws: SearchError.badCursor) {
            try strange.position(text, tenant: tenant, query: "Patient?a=b", keys: 3)
        }
    }

    @Test func `no changed character is accepted`() throws {
        let tenant = try #require(h1)
        let text = Array(cursors.text(position, tenant: tenant, query: "q").utf8)
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(throws: SearchError.badCursor) {
                try cursors.position(String(decoding: changed, as: UTF8.self), tenant: tenant, query: "q", keys: 3)
            }
        }
        for bad in ["", "abc", "%%%", String(repeating: "A", count: 10_000), "=", "é"] {
            #expect(throws: SearchError.badCursor) {
                try cursors.position(bad, tenant: tenant, query: "q", keys: 3)
            }
        }
    }
}
