import Foundation
import FoundationXML
import Testing
import Virtualization

@testable import LibvirtVirtualization

/// What is handed to libvirt, and what comes back from it.
@Suite struct DocumentTests {
    @Test(arguments: [
        "'/><disk type='file'/>", "]]><x>", "a&b", "\"quoted\"", "line\nbreak\ttab\rreturn", "\u{0}\u{1B}[31m",
        "\u{FFFE}",
        "<!-- -->", "&lt;", "übergroß 医院",
    ]) func `no value can leave its attribute or element`(hostile: String) throws {
        let document = XMLElement("a", ["b": hostile], [XMLElement("c", text: hostile), XMLElement("d")]).serialized
        let parsed = try Parsed(document)
        let expected = String(
            String.UnicodeScalarView(
                hostile.unicodeScalars.map {
                    $0.value < 0x20 && !"\t\n\r".unicodeScalars.contains($0) || $0 == "\u{FFFE}" ? "\u{FFFD}" : $0
                }))
        #expect(parsed.elements == ["a", "c", "d"])
        #expect(parsed.attributes == [["b": expected], [:], [:]])
        #expect(parsed.text == expected)
        let scanned = XMLScan(document)
        #expect(scanned.elements.map(\.path) == ["a", "a/c", "a/d"])
        #expect(scanned.first("a")?.attributes == ["b": expected])
        #expect(scanned.first("a/c")?.text == expected)
    }

    @Test func `a domain names only files of its own volumes`() throws {
        let document = DomainXML(
            instance: .sample(), accelerator: .emulated,
            files: .init(disk: "/v/disk", seed: "/v/seed", consoleLog: "/v/log", kernel: ("/i/kernel", "/i/initrd"))
        ).element.serialized
        _ = try Parsed(document)
        let scan = XMLScan(document)
        #expect(scan.first("domain")?.attributes["type"] == "qemu")
        #expect(scan.first("domain/memory")?.text == String(80 << 20))
        #expect(scan.first("domain/features/tcg/tb-cache")?.text == "16")
        #expect(scan.all("domain/devices/disk/source").map(\.attributes) == [["file": "/v/disk"], ["file": "/v/seed"]])
        #expect(scan.first("domain/devices/serial/source")?.attributes["path"] == "/v/log")
        #expect(scan.first("domain/devices/interface/filterref/parameter")?.attributes["value"] == "10.40.1.7")
        #expect(scan.first("domain/os/kernel")?.text == "/i/kernel")
    }

    @Test func `the translator's cache is for emulated guests only`() {
        let document = DomainXML(
            instance: .sample(), accelerator: .kvm, files: .init(disk: "/d", seed: "/s", consoleLog: "/l", kernel: nil)
        ).element.serialized
        #expect(!document.contains("tb-cache"))
        #expect(document.contains("<boot dev='hd'/>"))
    }

    @Test func `a scan reads what libvirt writes`() {
        let scan = XMLScan(
            """
            <?xml version="1.0"?>
            <!-- <network> -->
            <network connections='1'>
              <ip address='10.40.1.1' prefix='24'>
                <dhcp>
                  <host mac='52:54:00:00:00:01' ip='10.40.1.7'/>
                  <host mac='52:54:00:00:00:02' ip='10.40.1.8'/>
                </dhcp>
              </ip>
            </network>
            """)
        #expect(scan.all("network/ip/dhcp/host").compactMap { $0.attributes["ip"] } == ["10.40.1.7", "10.40.1.8"])
        #expect(scan.first("network/ip")?.attributes == ["address": "10.40.1.1", "prefix": "24"])
    }

    @Test(arguments: ["", "<", "<a", "<a b=", "<a b='", "</a>", "<a/", "<!--", "<a b=c>"])
    func `a scan of rubbish finds less, not more`(rubbish: String) {
        #expect(XMLScan(rubbish).elements.count <= 1)
    }

    @Test(arguments: [
        ("10.40.1.0/24", "10.40.1.1"), ("10.40.0.0/16", "10.40.0.1"), ("192.168.7.8/29", "192.168.7.9"),
    ]) func `the host has a network's first address`(cidr: String, gateway: String) throws {
        #expect(try NetworkXML(NetworkSpecification(name: .random(.network), cidr: cidr)).gateway == gateway)
    }

    @Test(arguments: [
        "10.40.1.1/24", "10.40.1.0", "10.40.1.0/15", "10.40.1.0/30", "10.40.01.0/24", "10.40.1.0/024", "10.40.1/24",
        "10.40.1.0/24/1", "10.40.1.0/+24", "::/64", "10.40.1.0/24'/>",
    ]) func `a network's range is canonical`(cidr: String) {
        #expect(throws: VirtualizationError.self) {
            try NetworkXML(NetworkSpecification(name: .random(.network), cidr: cidr))
        }
    }

    @Test func `bridges are named within the kernel's fifteen characters`() {
        let name = NetworkXML.bridge(of: .random(.network))
        #expect(name.utf8.count == 14)
    }

    @Test func `messages keep the paths of the host to themselves`() {
        let text = LibvirtFailure.withoutPaths("Could not open '/var/lib/libvirt/x/disk.qcow2': Permission denied")
        #expect(text == "Could not open '…/disk.qcow2': Permission denied")
    }

    @Test func `a boot sector ends with its mark`() {
        #expect(AccelerationProof.bootSector.count == 512)
        #expect(AccelerationProof.bootSector.suffix(2) == [0x55, 0xAA])
    }
}

/// Foundation's parser, as a second opinion.
private final class Parsed: NSObject, XMLParserDelegate {
    private(set) var elements: [String] = []
    private(set) var attributes: [[String: String]] = []
    private(set) var text = ""

    init(_ document: String) throws {
        super.init()
        let parser = XMLParser(data: Data(document.utf8))
        parser.delegate = self
        #expect(parser.parse(), "\(document)")
    }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        elements.append(name)
        self.attributes.append(attributes)
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
}
