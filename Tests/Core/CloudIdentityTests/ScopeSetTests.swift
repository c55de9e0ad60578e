import CloudIdentity
import Testing

@Suite struct ScopeSetTests {
    @Test(arguments: [
        ("system/Patient.cruds", "Patient", "cruds"), ("system/Patient.rs", "Patient", "rs"),
        ("system/Patient.read", "Patient", "rs"), ("system/Patient.write", "Patient", "cud"),
        ("system/Patient.*", "Patient", "cruds"), ("system/*.rs", "Observation", "rs"),
        ("system/*.*", "Observation", "cruds"), ("system/*.read system/Patient.c", "Patient", "crs"),
        ("system/Observation.cruds", "Patient", ""), ("user/Patient.cruds", "Patient", ""),
        ("patient/Patient.cruds", "Patient", ""), ("system/Patient.d  system/Patient.d", "Patient", "d"),
    ])
    func `a scope allows what it says and nothing else`(_ text: String, _ type: String, _ letters: String) throws {
        let scopes = try ScopeSet(parsing: text)
        let names: [(ScopeSet.Permission, Character)] = [
            (.create, "c"), (.read, "r"), (.update, "u"), (.delete, "d"), (.search, "s"),
        ]
        for (permission, letter) in names {
            #expect(scopes.allows(permission, on: type) == letters.contains(letter))
        }
    }

    @Test(arguments: [
        "", " ", "system/Patient", "system/.rs", "system/Patient.", "system/Patient.sr", "system/Patient.rr",
        "system/Patient.x", "system/patient.rs", "system/Patient.rs?category=vital-signs", "Patient.rs", "openid",
        "launch/patient", "system/Patient/x.rs", "system/Pat ient.rs", "SYSTEM/Patient.rs", "system/**.rs",
        "system/Patient.READ", "system/Pat1ent.rs", "system/Patient.rs\n", "system/Patient.rs.rs",
    ])
    func `what is not a scope for resources is refused`(_ text: String) {
        #expect(throws: IdentityError.self) { try ScopeSet(parsing: text) }
    }

    @Test(arguments: [
        "system/Patiant.rs", "system/*.rs system/Patiant.rs", "system/Resource.rs", "user/Patients.cruds",
    ])
    func `a scope of a type that FHIR R4 does not have is not given to whoever asks`(_ text: String) throws {
        let named = try #require(text.split(separator: " ").last)
        let error = #expect(throws: IdentityError.self) { try ScopeSet.asked(text) }
        #expect(error?.code == .scope)
        #expect(error?.reason.contains("\(named) names") == true)
        #expect(try ScopeSet(parsing: text).text == text)
    }

    @Test(arguments: ["system/*.cruds", "system/Patient.rs system/VisionPrescription.read user/Account.c"])
    func `scopes of FHIR R4's types are read as they are`(_ text: String) throws {
        #expect(try ScopeSet.asked(text) == ScopeSet(parsing: text))
    }

    @Test(arguments: [
        ("system/*.cruds", "system/Patient.rs", true), ("system/*.cruds", "system/*.read system/Patient.write", true),
        ("system/Patient.cruds", "system/*.rs", false), ("system/Patient.rs", "system/Patient.cruds", false),
        ("system/Patient.rs system/Patient.cud", "system/Patient.*", true),
        ("system/*.rs", "system/Patient.cruds", false),
        ("system/*.rs system/Patient.c", "system/Patient.crs", true), ("system/*.cruds", "user/Patient.rs", false),
        ("system/*.cruds", "patient/*.rs", false),
    ])
    func `only what is registered is covered`(_ registered: String, _ asked: String, _ covered: Bool) throws {
        #expect(try ScopeSet(parsing: registered).covers(try ScopeSet(parsing: asked)) == covered)
    }

    @Test func `the text keeps the spelling and drops repetitions`() throws {
        #expect(try ScopeSet(parsing: "system/*.read  system/*.read system/A.c").text == "system/*.read system/A.c")
    }
}
