import Testing

@testable import WSGIConfig

/// What must hold before a request is run.
@Suite struct HandlerCheckTests {
  private func check(_ change: (inout ScriptResource) -> Void, isAliased: Bool = false, _ script: HandlerScript? = nil) -> String?
  {
    var resource = ScriptResource()
    change(&resource)
    do throws(Refusal) { try resource.check(isAliased: isAliased, handlerScript: script) } catch {
      return "\(error.status) \(error.message.prefix(8))"
    }
    return nil
  }

  private func handlerScript(requiresExecCGI: Bool) throws -> HandlerScript {
    HandlerScript(
      name: [], path: [], options: ScriptOptions(), requiresExecCGI: requiresExecCGI,
      location: ConfigLocation(file: "httpd.conf", line: 1))
  }

  @Test func resourcesMustBeScripts() throws {
    #expect(check { _ in } == nil)
    #expect(check { $0.mayExecute = false } == "403 WSGI0134")
    #expect(check({ $0.mayExecute = false }, isAliased: true) == nil)
    #expect(check { $0.exists = false } == "404 WSGI0135")
    #expect(check { $0.isDirectory = true } == "403 WSGI0136")
    #expect(check { ($0.rejectsPathInfo, $0.hasPathInfo) = (true, true) } == "404 WSGI0137")
    #expect(check { $0.rejectsPathInfo = true } == nil)
    #expect(check { $0.hasPathInfo = true } == nil)
  }

  /// A handler script serves resources that need not exist; one of an `.htaccess` file runs only with ExecCGI.
  @Test func handlerScriptsStandForTheResource() throws {
    let nothing: (inout ScriptResource) -> Void = { ($0.exists, $0.isDirectory, $0.rejectsPathInfo) = (false, true, true) }
    #expect(check(nothing, try handlerScript(requiresExecCGI: true)) == nil)
    #expect(check({ $0.mayExecute = false }, try handlerScript(requiresExecCGI: false)) == nil)
    #expect(check({ $0.mayExecute = false }, isAliased: true, try handlerScript(requiresExecCGI: true)) == "403 WSGI0134")
  }

  private func body(
    _ encoding: String?, _ length: String?, limit: Int64 = 0, chunked: Bool = true
  ) throws(Refusal) -> RequestBody {
    let encoding = encoding.map { Array($0.utf8) }
    let length = length.map { Array($0.utf8) }
    let result: Result<RequestBody, Refusal> = (encoding ?? []).withUnsafeBytes { first in
      (length ?? []).withUnsafeBytes { second in
        do throws(Refusal) {
          return .success(
            try RequestBody(
              transferEncoding: encoding == nil ? nil : first, contentLength: length == nil ? nil : second, limit: limit,
              allowsChunked: chunked))
        } catch { return .failure(error) }
      }
    }
    return try result.get()
  }

  @Test(
    arguments: [
      (nil, nil, -1, false), (nil, "0", 0, false), (nil, "17", 17, true), (nil, "9223372036854775807", Int64.max, true),
      ("chunked", nil, -1, true), ("Chunked", "5", -1, true),
    ] as [(String?, String?, Int64, Bool)])
  func bodiesAreRead(encoding: String?, length: String?, expected: Int64, isThere: Bool) throws {
    let body = try body(encoding, length)
    #expect(body.length == expected && body.isThere == isThere)
  }

  @Test(
    arguments: [
      ("gzip", nil, 501), ("gzip, chunked", nil, 501), ("", nil, 501), (nil, "", 400), (nil, "-1", 400), (nil, "+1", 400),
      (nil, "1 2", 400), (nil, "0x1", 400), (nil, "9223372036854775808", 400), (nil, "99999999999999999999999", 400),
    ] as [(String?, String?, Int32)])
  func othersAreRefused(encoding: String?, length: String?, status: Int32) {
    #expect { try body(encoding, length) } throws: { ($0 as? Refusal)?.status == status }
  }

  @Test func limitsHold() throws {
    #expect(try body(nil, "10", limit: 10).length == 10)
    #expect { try body(nil, "11", limit: 10) } throws: { ($0 as? Refusal).map { $0.status == 413 && $0.isRoutine } == true }
    #expect { try body("chunked", nil, chunked: false) } throws: { ($0 as? Refusal)?.status == 411 }
  }

  @Test(arguments: [
    (ProcessGroupLookup.restricted, "WSGI0149"), (.unknown, "WSGI0150"), (.notVisible, "WSGI0152"),
  ])
  func groupsThatTakeNoRequestsSayWhy(lookup: ProcessGroupLookup, number: String) {
    #expect(lookup.refusal(of: Array("shop".utf8)).map { $0.message.hasPrefix(number) && $0.message.contains("'shop'") } == true)
    #expect(ProcessGroupLookup.embedded.refusal(of: []) == nil && ProcessGroupLookup.daemon(0).refusal(of: []) == nil)
  }
}
