import CPosix
import Glibc
import Platform
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct ActivationTests {
  /// Files whose descriptors can be told apart.
  private func someFiles() throws -> GroupFiles {
    let numbers = (0..<4).map { _ in eventfd(0, Int32(EFD_CLOEXEC)) }
    try #require(numbers.allSatisfy { $0 >= 0 })
    return GroupFiles(readEnd: numbers[0], writeEnd: numbers[1], owners: numbers[2], activity: numbers[3])
  }

  private func isSame(_ one: Int32, _ other: Int32) -> Bool {
    var value: UInt64 = 7
    guard write(one, &value, 8) == 8 else { return false }
    value = 0
    return read(other, &value, 8) == 8 && value == 7
  }

  /// Answers on a thread as a supervisor would, until told to end by a place that no group has.
  private func answer(_ activation: GroupActivation, _ body: @escaping (GroupActivation.Ask) -> Bool) -> pthread_t {
    final class Work {
      let body: () -> Void
      init(_ body: @escaping () -> Void) { self.body = body }
    }
    let work = Work {
      var pace = AskPace(lanes: activation.laneCount)
      while true {
        var entry = pollfd(fd: activation.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 10_000) > 0 else { return }
        activation.silence()
        for ask in activation.takeAsks(&pace, now: Clock.monotonicMicroseconds()) where !body(ask) { return }
      }
    }
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        context.map { Unmanaged<Work>.fromOpaque($0).takeRetainedValue().body() }
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    return thread
  }

  @Test func aChildGetsTheDescriptorsOfTheGroupThatItAsksFor() throws {
    let activation = try #require(GroupActivation.make(children: 3))
    defer { activation.closeAll() }
    let files = try someFiles()
    defer { files.closeAll() }
    let asker = activation.asker(isAlone: true)
    let thread = answer(activation) { ask in
      let isThere = ask.place == 5
      activation.answer(ask, .init(status: isThere ? 0 : EINVAL, place: ask.place, files: isThere ? files : nil))
      return ask.place != 9
    }
    for _ in 0..<3 {
      let found = try asker.ask(5, milliseconds: 60_000).get()
      let got = found.files
      #expect(found.place == 5 && found.user == nil)
      #expect(got.readEnd == -1 && isSame(got.writeEnd, files.writeEnd))
      #expect(isSame(got.owners, files.owners) && isSame(got.activity, files.activity))
      got.closeAll()
    }
    #expect(asker.ask(6, milliseconds: 60_000) == .failure(.refused(errno: EINVAL)))
    #expect(asker.ask(9, milliseconds: 60_000) == .failure(.refused(errno: EINVAL)))
    pthread_join(thread, nil)
  }

  @Test func aQuestionIsPutAgainWhereNobodyAnswered() throws {
    let activation = try #require(GroupActivation.make(children: 1))
    defer { activation.closeAll() }
    let files = try someFiles()
    defer { files.closeAll() }
    let asker = activation.asker(isAlone: true)
    final class Count: @unchecked Sendable { var value = 0 }
    let count = Count()
    let thread = answer(activation) { ask in
      count.value += 1
      if count.value > 2 { activation.answer(ask, .init(status: 0, files: files)) }
      return count.value <= 2
    }
    let got = try asker.ask(0, milliseconds: 60_000).get().files
    got.closeAll()
    pthread_join(thread, nil)
    #expect(count.value == 3)
  }

  @Test func aLateAnswerToAnotherQuestionIsClosed() throws {
    let activation = try #require(GroupActivation.make(children: 1))
    defer { activation.closeAll() }
    let files = try someFiles()
    defer { files.closeAll() }
    // A pipe tells whether a copy of its other end is left anywhere.
    var ends: [Int32] = [-1, -1]
    try #require(wsgi_posix_output_pipe(&ends) == 0)
    var late = files
    late.writeEnd = ends[1]
    let asker = activation.asker(isAlone: true)
    let other = GroupActivation.Ask(lane: 0, number: 77, place: 4)
    activation.answer(other, .init(status: 0, files: late))
    let thread = answer(activation) { ask in
      activation.answer(other, .init(status: 0, files: late))
      activation.answer(ask, .init(status: 0, files: files))
      return false
    }
    let got = try asker.ask(4, milliseconds: 60_000).get().files
    pthread_join(thread, nil)
    #expect(isSame(got.writeEnd, files.writeEnd))
    got.closeAll()
    close(ends[1])
    // Processes that other tests start have copies until they execute their program.
    wait("the end of all copies") {
      var entry = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
      return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP) != 0
    }
    close(ends[0])
  }

  @Test func childrenWaitForALaneAndTakeThatOfOneThatDied() throws {
    #expect(try probeOutput("lane") == "noAnswer\nfound\n")
  }

  @Test func aTenantIsNamedByItsKeyAndOwner() throws {
    let activation = try #require(GroupActivation.make(children: 1))
    defer { activation.closeAll() }
    let files = try someFiles()
    defer { files.closeAll() }
    let asker = activation.asker(isAlone: true)
    let key = try #require(TenantKey("a".utf8.map(\.self) + [UInt8](repeating: UInt8(ascii: "z"), count: 63)))
    let tenants = [Tenant(key: key, user: 4_294_967_294), Tenant(key: try #require(TenantKey("bob".utf8)), user: 1000)]
    final class Seen: @unchecked Sendable { var tenants: [Tenant?] = [] }
    let seen = Seen()
    let thread = answer(activation) { ask in
      seen.tenants.append(ask.tenant)
      activation.answer(ask, .init(status: 0, place: 70 + seen.tenants.count, user: 9, files: files))
      return seen.tenants.count < 2
    }
    for (number, tenant) in tenants.enumerated() {
      let found = try asker.ask(3, tenant, milliseconds: 60_000).get()
      #expect(found.place == 71 + number && found.user == 9)
      found.files.closeAll()
    }
    pthread_join(thread, nil)
    #expect(seen.tenants == tenants)
  }

  @Test func filesOfGroupsOutliveASupervisor() throws {
    let store = try #require(DescriptorStore.make(capacity: 10))
    defer { store.closeAll() }
    let files = try someFiles()
    #expect(store.put(files, of: 3) && store.put(files, of: 700))
    files.closeAll()
    let found = store.groupFiles()
    #expect(Set(found.keys) == [3, 700] && found.values.allSatisfy(\.isWhole))
    for files in found.values { files.closeAll() }
    store.remove(3)
    let left = store.groupFiles()
    #expect(Set(left.keys) == [700])
    for files in left.values { files.closeAll() }
  }
}
