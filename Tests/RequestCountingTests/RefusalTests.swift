import Testing

@testable import RequestCounting

@Suite struct RefusalPaceTests {
  @Test func theFirstIsLoggedAndTheOthersAreCounted() {
    let pace = RefusalPace()
    #expect(pace.take(.queueLimit, now: 5) == 0)
    for now in 0..<40 as Range<Int64> { #expect(pace.take(.queueLimit, now: 5 + now) == nil) }
    #expect(pace.take(.queueLimit, now: 5 + RefusalPace.interval) == 40)
    #expect(pace.take(.queueLimit, now: 6 + RefusalPace.interval) == nil)
    #expect(pace.take(.queueLimit, now: 5 + 2 * RefusalPace.interval) == 1)
  }

  @Test func reasonsAreToldApart() {
    let pace = RefusalPace()
    #expect(pace.take(.queueLimit, now: 5) == 0)
    #expect(pace.take(.givenUp, now: 5) == nil)
    #expect(pace.take(.threads(.group), now: 5) == 0)
    #expect(pace.take(.threads(.user), now: 5) == nil)
  }
}
