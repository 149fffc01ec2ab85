import Glibc
import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// A wsgi.file_wrapper around a regular file is the host's to send.
extension RequestRunner {
  /// Hands a regular file to the host; nil where the wrapper must be iterated instead (reference/wsgi-semantics §6). Of the
  /// answer to a HEAD nothing but the head is sent: nothing is read for it.
  func answer(file wrapper: PyObj, _ gil: borrowing GILToken) throws -> RequestOutcome? {
    guard let file = regularFile(wrapper) else { return isHead ? try end(gil) : nil }
    let available = max(0, file.size &- file.offset)
    _ = awaitHost(gil)
    if head.contentLength < 0 { if RequestRunner.mayHaveBody(status) { head.addContentLength(available) } }
    let length = head.contentLength >= 0 ? min(head.contentLength, available) : available
    if length == 0 || isHead { return try end(gil) }
    let encoded = head.finish()
    traffic.outputBytes &+= UInt64(length)
    traffic.outputWrites &+= 1
    let begun = meter.isOn ? Clock.monotonicNanoseconds() : 0
    let result =
      detached(gil) {
        // The offset may lie beyond the end, of which nothing can be sent.
        $0.sendFile(head: encoded, descriptor: file.descriptor, offset: min(file.offset, file.size), length: length)
      } ?? ExchangeFailure.closed.rawValue
    if meter.isOn { meter.wrote(since: begun, traffic) }
    lseek(file.descriptor, off_t(file.offset), SEEK_SET)
    if result == ExchangeFailure.badHead.rawValue { return failure(500) }
    stage.commit()
    bytesSent = length
    if result >= 0, !isHead, RequestRunner.mayHaveBody(status), length < head.contentLength { return cutShort() }
    return done()
  }

  struct RegularFile { var descriptor: Int32, offset: Int64, size: Int64 }

  func regularFile(_ wrapper: PyObj) -> RegularFile? {
    do throws(Raised) {
      let filelike = try wrapper.attribute("filelike")
      let descriptor = Int32(clamping: try filelike.attribute("fileno").call().int())
      let offset = Int64(try filelike.attribute("tell").call().int())
      var information = stat()
      guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG, offset >= 0 else { return nil }
      return RegularFile(descriptor: descriptor, offset: offset, size: Int64(information.st_size))
    } catch {
      PythonException.clear()
      return nil
    }
  }
}
