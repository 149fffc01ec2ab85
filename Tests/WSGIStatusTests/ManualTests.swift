import Glibc
import Testing

@testable import WSGIStatus

/// The table of figures in the manual's chapter on monitoring is that of the code.
@Suite struct ManualTests {
  private static let rows =
    StatusReport.figures.map(\.row) + StatusReport.Group.figures.map(\.row) + StatusReport.Process.figures(now: 0).map(\.row)
    + StatusReport.PreloadingProcess.figures(now: 0).map(\.row)

  @Test(arguments: rows) func everyFigureHasARow(row: String) {
    #expect(Self.lines.contains { $0 == row }, "\(row)")
  }

  private static let lines: [Substring] = {
    let path = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/conf/manual/monitoring.md"
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
  }()
}
