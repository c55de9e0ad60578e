import OperatorCommands
import Testing

struct TenantRulesTests {
    @Test(arguments: ["Europe/Berlin", "Asia/Shanghai", "UTC", "America/Argentina/Ushuaia"])
    func `real time zones pass`(name: String) {
        #expect(throws: Never.self) { try TenantRules.checkTimeZone(name) }
    }

    @Test(arguments: [("Europe/Berln", "Europe/Berlin"), ("Asia/Shanghia", "Asia/Shanghai")])
    func `a mistyped time zone names the one that was meant`(name: String, meant: String) {
        #expect {
            try TenantRules.checkTimeZone(name)
        } throws: { error in
            (error as? CommandFailure)?.message.contains("Did you mean \"\(meant)\"?") ?? false
        }
    }

    @Test(arguments: ["en", "de", "zh-Hans", "zh-Hans-CN", "pt-BR", "yue"])
    func `language tags pass`(tag: String) {
        #expect(throws: Never.self) { try TenantRules.checkLanguage(tag) }
    }

    @Test(arguments: ["", "english", "xx", "EN", "de_DE", "de-", "d"])
    func `what is no language is refused`(tag: String) {
        #expect(throws: CommandFailure.self) { try TenantRules.checkLanguage(tag) }
    }

    @Test(arguments: ["", "H1", "1h", "h-", "region", "h_1", "a/b", String(repeating: "a", count: 32)])
    func `what is no tenant name is refused`(id: String) {
        #expect(throws: CommandFailure.self) { try TenantRules.checkID(id) }
    }
}
