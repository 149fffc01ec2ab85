import Glibc
import Synchronization
import Testing

@testable import Platform

/// What engines say of themselves, in memory that others write too.
@Suite struct EngineNoticeTests {
  private let memory: UnsafeMutableRawPointer
  private let notice: EngineNotice

  init() {
    memory = .allocate(byteCount: 4096, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
    notice = EngineNotice(board: memory, size: 4096)
  }

  private let script = Array("/a.wsgi".utf8)
  private let other = Array("/b.wsgi".utf8)

  @Test(arguments: [("3.11.2", "3.11.2"), ("3.13.0rc1", "3.13.0"), ("3.300.1", "3.255.1")])
  func theVersion(said: String, read: String) {
    #expect(notice.python == nil)
    notice.announce(python: said)
    #expect(notice.python == read)
  }

  @Test(arguments: ["", "x", "3", "…"]) func whatIsNoVersionIsNone(said: String) {
    notice.announce(python: said)
    #expect(notice.python == nil)
  }

  @Test func aFailureStandsUntilItsScriptLoads() {
    #expect(notice.lastLoad == nil)
    notice.noteLoaded(script: script)
    #expect(notice.lastLoad?.outcome == .loaded && notice.lastLoad?.pid == getpid() && notice.lastLoad?.text == "")
    notice.noteFailed(script: script, "/a.wsgi: SyntaxError('x')")
    #expect(notice.lastLoad?.outcome == .failed && notice.lastLoad?.text == "/a.wsgi: SyntaxError('x')")
    notice.noteLoaded(script: other)
    #expect(notice.lastLoad?.outcome == .failed)
    notice.noteLoaded(script: script)
    #expect(notice.lastLoad?.outcome == .loaded)
  }

  @Test func theEarlierCodeMayBeKept() {
    notice.noteKept(script: script)
    #expect(notice.lastLoad == nil)
    notice.noteFailed(script: script, "why")
    notice.noteKept(script: other)
    #expect(notice.lastLoad?.outcome == .failed)
    notice.noteKept(script: script)
    #expect(notice.lastLoad?.outcome == .failedAndKept && notice.lastLoad?.text == "why")
  }

  /// A process that only tries a script does not stand for the one that serves without it.
  @Test func theProcessThatServesIsNamed() {
    let words = (memory + (4096 - EngineNotice.size)).assumingMemoryBound(to: SharedWord.self)
    notice.noteFailed(script: script, "why")
    words[3].store(UInt64(getppid()), ordering: .relaxed)
    notice.noteFailed(script: script, "why")
    #expect(notice.lastLoad?.pid == getppid())
    notice.noteFailed(script: other, "why")
    #expect(notice.lastLoad?.pid == getpid())
    words[3].store(UInt64(Int32.max), ordering: .relaxed)
    notice.noteFailed(script: other, "why")
    #expect(notice.lastLoad?.pid == getpid())
  }

  @Test(arguments: [1, 7, 8, 9, 471, 472, 473, 100_000]) func textsHaveALimit(length: Int) {
    let text = String(repeating: "x", count: length)
    notice.noteFailed(script: script, text)
    #expect(notice.lastLoad?.text == String(text.prefix(472)))
  }

  /// A tenant may write there whatever it likes.
  @Test(arguments: [UInt8(0), 1, 2, 3, 0x7F, 0xFF]) func anyBytesAreRead(byte: UInt8) {
    memset(memory, Int32(byte), 4096)
    let words = (memory + (4096 - EngineNotice.size)).assumingMemoryBound(to: SharedWord.self)
    for header in [UInt64.max, 1, 2, 0xFFFF_FF02, UInt64.max & ~0xFF | 2] {
      words[1].store(header, ordering: .relaxed)
      _ = notice.python
      #expect((notice.lastLoad?.text.utf8.count ?? 0) <= 472 * 3)
    }
    notice.noteFailed(script: script, "why")
    notice.noteLoaded(script: script)
  }
}
