import Synchronization
import Testing

@testable import WSGIAdapter

@Suite struct FailureLedgerTests {
  private final class Reports: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ script: FailureLedger.Script, _ repeats: Int) {
      lines.withLock { $0.append("\(String(decoding: script.path, as: UTF8.self)) \(repeats)") }
    }
  }

  private let reports = Reports()
  private let ledger = FailureLedger()
  private let a = FailureLedger.Script(path: Array("a".utf8), applicationGroup: [])
  private let b = FailureLedger.Script(path: Array("b".utf8), applicationGroup: [])

  init() { ledger.begin { [reports] in reports.add($0, $1) } }

  @Test func theFirstIsNewsAndWhatIsTheSameIsCounted() {
    #expect(ledger.failed(a, 1))
    #expect(!ledger.failed(a, 1))
    ledger.repeated(a)
    #expect(ledger.failed(b, 1), "another script")
    #expect(reports.all.isEmpty)
    ledger.flush()
    #expect(reports.all == ["a 2"])
    ledger.flush()
    #expect(reports.all == ["a 2"])
    ledger.repeated(a)
    ledger.flush()
    #expect(reports.all == ["a 2", "a 1"])
  }

  @Test func anotherFailureIsNews() {
    #expect(ledger.failed(a, 1))
    #expect(ledger.failed(a, 2))
    #expect(ledger.failed(a, 1))
  }

  @Test func theSameFailureIsNewsOnceTheScriptHadLoaded() {
    #expect(ledger.failed(a, 1))
    ledger.repeated(a)
    ledger.loaded(a)
    #expect(reports.all == ["a 1"])
    #expect(ledger.failed(a, 1))
  }

  @Test func whatAnotherProcessHasLoggedIsNoNews() {
    ledger.expect(a, 7)
    #expect(!ledger.failed(a, 7))
    ledger.flush()
    #expect(reports.all.isEmpty, "the attempt was no request")
    #expect(ledger.failed(a, 8))
  }

  @Test func pausesGrowUntilTheScriptChangesOrLoads() {
    let pauses = (0..<20).map { _ in ledger.pause(a, modified: 1) }
    #expect(pauses.prefix(6).allSatisfy { $0 == FailedScript.leastPause })
    #expect(pauses[6] == 2 * FailedScript.leastPause)
    #expect(pauses[13] == 256 * FailedScript.leastPause)
    #expect(pauses[19] == pauses[13], "five minutes at most")
    #expect(ledger.pause(a, modified: 2) == FailedScript.leastPause)
    for _ in 0..<10 { _ = ledger.pause(a, modified: 2) }
    ledger.loaded(a)
    #expect(ledger.pause(a, modified: 2) == FailedScript.leastPause)
  }
}
