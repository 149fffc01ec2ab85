import Glibc
import Platform
import Testing

@Suite struct SystemCallTests {
  @Test func anInterruptedCallIsMadeAgain() {
    var calls = 0
    let result = systemCall { () -> Int in
      calls += 1
      errno = EINTR
      return calls < 3 ? -1 : 7
    }
    #expect(result == 7 && calls == 3)
  }

  @Test func aFailureIsTheErrnoValue() {
    #expect(systemCall { close(-1) } == -EBADF)
    #expect(systemCall { () -> Int in 0 } == 0)
  }

  @Test func oneOfTwoDescriptorsIsReady() {
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    let near = Descriptor(owning: ends[0])
    let far = Descriptor(owning: ends[1])
    #expect(waitUntilReady(near.number, for: readable, milliseconds: 1) == (0, 0))
    #expect(waitUntilReady(near.number, for: readable, or: far.number, for: writable, milliseconds: -1) == (0, writable))
    #expect(waitUntilReady(-1, for: 0, or: far.number, for: writable, milliseconds: 0) == (0, writable))
  }

  @Test func aDescriptorIsClosedOnce() {
    let number = open("/dev/null", O_RDONLY)
    do { _ = Descriptor(owning: number) }
    #expect(fcntl(number, F_GETFD) < 0)
    let kept = Descriptor(owning: open("/dev/null", O_RDONLY)).release()
    #expect(systemCall { close(kept) } == 0)
  }
}
