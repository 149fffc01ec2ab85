/// How the command ends, for scripts.
enum ExitStatus: Int32, CaseIterable {
  case done = 0
  case failed = 1
  case usage = 2
  case noServer = 3
  case noGroup = 4

  static let discussion =
    "Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 no server answers there, 4 there is no such process group."
}

/// A verb that could not be done: one sentence for the user, and the exit status for scripts.
struct CommandFailure: Error, Equatable {
  let status: ExitStatus
  let text: String

  init(_ status: ExitStatus = .failed, _ text: String) {
    (self.status, self.text) = (status, text)
  }

  func report() { Output.write("wsgictl: \(text)\n", to: .error) }
}
