import CPosix
import Glibc
import Testing
import WSGICore

@testable import ProcessSupervision

private let isRoot: Bool = {
  if geteuid() == 0 { return true }
  print("PrivilegeTests: skipped in part, only root can give up root")
  return false
}()

@Suite struct PrivilegeTests {
  private func group(_ change: (inout WorkerSettings) -> Void) -> SupervisionCase.Group {
    var group = SupervisionCase.Group("g", "privileges serve")
    change(&group.settings)
    return group
  }

  @Test(.enabled(if: isRoot)) func aWorkerIsItsUserAndNothingElse() throws {
    let it = try SupervisionCase([
      group {
        $0.credentials = .init(user: 33, group: 33, supplementaryGroups: [33, 60, 61])
        $0.umask = 0o27
        $0.directory = Array("/tmp".utf8)
      }
    ])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    let fields = status(of: pid)
    #expect(fields["Uid"] == "33 33 33 33")
    #expect(fields["Gid"] == "33 33 33 33")
    #expect(Set(fields["Groups"]?.split(separator: " ") ?? []) == ["33", "60", "61"])
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] { #expect(fields[set] == "0000000000000000", "\(set)") }
    #expect(fields["NoNewPrivs"] == "1")
    #expect(fields["Umask"] == "0027")
    #expect(directory(of: pid) == "/tmp")
    // A process that is not dumpable has its /proc files given to root.
    var file = stat()
    #expect(stat("/proc/\(pid)/environ", &file) == 0 && file.st_uid == 0)
    it.finish()
  }

  @Test(.enabled(if: isRoot)) func aCoreDumpDirectoryMakesItDumpable() throws {
    let it = try SupervisionCase([
      group {
        $0.credentials = .init(user: 65534, group: 65534, supplementaryGroups: [])
        $0.allowsCoreDumps = true
        $0.allowsNewPrivileges = true
      }
    ])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    var file = stat()
    #expect(stat("/proc/\(pid)/environ", &file) == 0 && file.st_uid == 65534)
    #expect(status(of: pid)["NoNewPrivs"] == "0")
    #expect(status(of: pid)["Groups"] == "65534")
    it.finish()
  }

  @Test func anUnusableHomeIsAWarning() throws {
    let it = try SupervisionCase([
      group {
        if isRoot { $0.credentials = .init(user: 65534, group: 65534, supplementaryGroups: []) }
        $0.directory = Array("/nonexistent".utf8)
      }
    ])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    #expect(directory(of: pid) == "/")
    #expect(it.hasLogged("WSGI0450: Unable to change working directory to '/nonexistent': No such file or directory."))
    it.finish()
  }

  @Test(.enabled(if: isRoot)) func theRootDirectoryChanges() throws {
    let it = try SupervisionCase([
      group {
        $0.credentials = .init(user: 33, group: 33, supplementaryGroups: [])
        $0.changeRoot = Array("/usr".utf8)
        $0.directory = Array("/lib".utf8)
      }
    ])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    #expect(link("/proc/\(pid)/root") == "/usr")
    #expect(directory(of: pid) == "/usr/lib")
    it.finish()
  }

  @Test(.enabled(if: isRoot)) func whatFailsNamesItselfAndEndsTheProcess() throws {
    let it = try SupervisionCase([
      group {
        $0.credentials = .init(user: 33, group: 33, supplementaryGroups: [])
        $0.changeRoot = Array("/nonexistent".utf8)
      },
      group { $0.credentials = .init(user: 0, group: 0, supplementaryGroups: []) },
      group { $0.credentials = .init(user: .max, group: 33, supplementaryGroups: []) },
    ])
    wait("the causes") { it.hasLogged("WSGI0003") && it.log.count { $0.contains("WSGI0007") } >= 2 }
    #expect(
      it.hasLogged("could not change its root directory (exit code 66) during startup: chroot(/nonexistent): No such"))
    #expect(it.hasLogged("a worker does not run as root"))
    it.finish()
  }

  @Test func limitsAreSet() throws {
    let it = try SupervisionCase([
      group {
        $0.memoryLimit = 1 << 33
        $0.virtualMemoryLimit = 1 << 34
        $0.cpuTimeLimit = 100
        $0.shutdownTimeout = 5_000
        $0.cpuPriority = 5
        $0.processLimit = 4_000
      }
    ])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    let limits = contents("/proc/\(pid)/limits") ?? ""
    func limit(_ name: String) -> [Substring] {
      let line = limits.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
      return line.dropFirst(name.count).split(separator: " ")
    }
    #expect(limit("Max data size").prefix(2) == ["8589934592", "8589934592"])
    #expect(limit("Max address space").prefix(2) == ["17179869184", "17179869184"])
    #expect(limit("Max cpu time").prefix(2) == ["100", "106"])
    #expect(limit("Max processes").prefix(2) == ["4000", "4000"])
    // The nineteenth field of stat, the program's name in parentheses being the second.
    let fields = (contents("/proc/\(pid)/stat") ?? "").split(separator: ")").last?.split(separator: " ") ?? []
    #expect(fields.count > 16 && fields[16] == "5")
    it.finish()
  }

  @Test func aSpentCPULimitIsTheCause() throws {
    var group = SupervisionCase.Group("g", "privileges ready spin")
    group.settings.cpuTimeLimit = 1
    let it = try SupervisionCase([group])
    wait("the limit ends it", seconds: 60) { it.hasLogged("it used up its cpu-time-limit") }
    #expect(it.board().ends.contains { $0.flags.contains(.cpuLimit) })
    it.finish()
  }

  private func directory(of pid: Int32) -> String { link("/proc/\(pid)/cwd") }
}
