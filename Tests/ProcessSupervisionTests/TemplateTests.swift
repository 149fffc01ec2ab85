import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct TemplateTests {
  @Test func asManyStartAtOnceAsInASecond() {
    var rate = StartRate(perSecond: 4)
    let now: Int64 = 10_000_000
    #expect((0..<4).allSatisfy { _ in rate.takeTurn(now: now) == now })
    #expect(rate.takeTurn(now: now) == now + 250_000)
    #expect(rate.takeTurn(now: now) == now + 500_000)
    // Half a second later one turn has come, another has not.
    #expect(rate.takeTurn(now: now + 500_000) == now + 750_000)
    #expect((0..<4).allSatisfy { _ in rate.takeTurn(now: now + 60_000_000) == now + 60_000_000 })
    #expect(rate.takeTurn(now: now + 60_000_000) == now + 60_250_000)
  }

  @Test func aUserTravelsAsBytes() {
    let entry = UserEntry(
      name: Array("alice".utf8), uid: 1001, gid: 100, home: Array("/home/alice".utf8), supplementaryGroups: [7, 8])
    #expect(UserEntry(encoded: entry.encoded) == entry)
    // An answer that was cut short is none.
    for length in 0..<entry.encoded.count { #expect(UserEntry(encoded: Array(entry.encoded.prefix(length))) == nil) }
    #expect(UserEntry(encoded: entry.encoded + [0]) == nil)
  }

  @Test func aUserIsFoundByAProcessOfItsOwn() throws {
    #expect(try probeOutput("lookup") == "root 0 0\n")
  }

  @Test func onlyTheOwnerThatIsNamedMayHaveAGroup() throws {
    let key = try #require(TenantKey("alice".utf8))
    let template = TemplatePlan(
      places: 1..<3, startRate: 1, owners: 1000...2000, isNamedByOwner: true,
      plan: { _, _ in GroupPlan(name: "", processes: 1, settings: WorkerSettings(), program: [], arguments: [], environment: [])
      },
      userNumber: { _, _ in nil }, forgetCounts: { _ in })
    let alice = UserEntry(name: Array("alice".utf8), uid: 1001, gid: 100, home: Array("/home/alice".utf8))
    #expect(template.allows(alice, for: Tenant(key: key, user: 1001)))
    #expect(!template.allows(alice, for: Tenant(key: key, user: 1002)))
    #expect(!template.allows(Tenant(key: key, user: 0)) && !template.allows(Tenant(key: key, user: 999)))
    var other = alice
    other.name = Array("bob".utf8)
    #expect(!template.allows(other, for: Tenant(key: key, user: 1001)))
    other = alice
    other.home = []
    #expect(!template.allows(other, for: Tenant(key: key, user: 1001)))
  }

  @Test func usersAreCountedApartThoughPlacesPassOn() {
    let template = TemplatePlan(
      places: 5..<8, startRate: 1, owners: nil, isNamedByOwner: false,
      plan: { _, _ in GroupPlan(name: "", processes: 1, settings: WorkerSettings(), program: [], arguments: [], environment: [])
      },
      userNumber: { user, place in user == 7 ? 0 : place }, forgetCounts: { _ in })
    #expect(template.number(of: 1, 5, beside: []) == 5)
    #expect(template.number(of: 1, 6, beside: [(1, 5)]) == 5)
    // The first group of user 1 has left its place, and the other still has its number.
    #expect(template.number(of: 2, 5, beside: [(1, 5)]) == 6)
    #expect(template.number(of: 7, 5, beside: [(1, 5)]) == 0)
  }

  @Test func aPlaceIsAnothersOnceItHasBeenErased() throws {
    let memory = try #require(ScoreboardMemory.make(processes: [1]))
    let row = try #require(memory.writer(0))
    #expect(row.occupant == nil)
    let occupant = GroupScoreboard.Occupant(
      tenant: Tenant(key: try #require(TenantKey("shop.example.org".utf8)), user: 4_000_000_000), userNumber: 0)
    row.occupant = occupant
    row.state = GroupScoreboard.State(ready: 1)
    #expect(memory.reader(0)?.occupant == occupant)
    row.erase()
    #expect(memory.reader(0)?.occupant == nil && row.state == GroupScoreboard.State())
  }
}
