import CloudModel
import Testing

@Suite struct Base64URLTests {
    @Test func `each value has one spelling`() {
        #expect(Base64URL.decode("AQAB") == [1, 0, 1])
        #expect(Base64URL.decode("AA") == [0])
        #expect(Base64URL.encode([251, 255]) == "-_8")
        for bad in ["AB", "A", "AA==", "A A", "+/8", "é"] { #expect(Base64URL.decode(bad) == nil) }
    }

    @Test(arguments: 0..<70)
    func `what is written is read again`(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
        #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
    }
}
