/// How much of a supervisor's time the questions of httpd's children take: a child that rings, asks or has groups made without
/// end has its turn like the others, and no more. Times in microseconds of the monotonic clock.
struct AskPace {
  /// The last question that was taken in each lane, to tell those that are new.
  private var taken: [UInt64]
  /// Looks at the lanes, by whoever rings.
  private var looks = StartRate(perSecond: 1_000)
  /// Questions, and groups that are made for them, in each lane.
  private var questions: [StartRate]
  private var groups: [StartRate]
  /// When the lanes are looked at again though nobody rings; `.max`: nothing was put off.
  private(set) var due: Int64 = .max

  private static let questionsPerSecond = 500
  private static let groupsPerSecond = 100

  init(lanes: Int) {
    taken = Array(repeating: 0, count: lanes)
    questions = Array(repeating: StartRate(perSecond: Self.questionsPerSecond), count: lanes)
    groups = Array(repeating: StartRate(perSecond: Self.groupsPerSecond), count: lanes)
  }

  /// Somebody rings. False: the lanes are looked at when `due` has come; until then the bell is not heard.
  mutating func mayLook(now: Int64) -> Bool {
    let turn = looks.takeTurn(now: now)
    guard turn > now else { return true }
    due = min(due, turn)
    return false
  }

  /// Whether what was put off is due.
  mutating func takeDue(now: Int64) -> Bool {
    guard now >= due else { return false }
    due = .max
    return true
  }

  /// Whether a question, by its number and place, is new and has its turn.
  mutating func take(_ word: UInt64, _ lane: Int, now: Int64) -> Bool {
    guard word != taken[lane] else { return false }
    guard questions[lane].take(now: now) else {
      due = min(due, questions[lane].next)
      return false
    }
    taken[lane] = word
    return true
  }

  /// Whether a group may be made for a question. If not, it is as if that had not been taken yet.
  mutating func mayMakeGroup(_ lane: Int, now: Int64) -> Bool {
    guard !groups[lane].take(now: now) else { return true }
    due = min(due, groups[lane].next)
    taken[lane] = 0
    return false
  }
}
