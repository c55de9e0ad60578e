import OperatorCommands
import Testing

struct SuggestionTests {
    @Test(arguments: [
        ("hospitl-one", "hospital-one"), ("h11", "h1"), ("gatway-1", "gateway-1"), ("tenatn", "tenant"),
        ("cont", "controller"), ("H1", "h1"),
    ])
    func `the nearest name is suggested`(word: String, meant: String) {
        let names = ["h1", "zz", "hospital-one", "gateway-1", "controller", "tenant"]
        #expect(Suggestion.nearest(to: word, among: names) == meant)
    }

    @Test(arguments: ["", "completely-other", "q"])
    func `nothing is suggested when nothing is near`(word: String) {
        #expect(Suggestion.nearest(to: word, among: ["h1", "hospital-one"]) == nil)
        #expect(Suggestion.hint(for: word, among: ["h1", "hospital-one"]).isEmpty)
    }

    @Test func `swapped neighbours count as one change`() {
        #expect(Suggestion.distance("tenant", "tneant") == 1)
        #expect(Suggestion.distance("", "abc") == 3)
        #expect(Suggestion.distance("same", "same") == 0)
    }
}
