import CEngine
import CHTTPD
import Glibc
import WSGICore

/// A loaded wsgi-engine image: Python as an httpd child sees it.
struct Engine: @unchecked Sendable {  // the table is constant, and its functions may be called on any thread
  let table: UnsafePointer<wsgi_engine>

  init(table: UnsafePointer<wsgi_engine>) { self.table = table }

  /// Loads the image; it stays loaded for good.
  init(path: String) throws(EngineFailure) {
    // RTLD_GLOBAL: Python's extension modules look for libpython's symbols among the global ones.
    guard let image = dlopen(path, RTLD_NOW | RTLD_GLOBAL) else { throw .unloadable(path: path, reason: EngineFailure.lastError) }
    guard let symbol = dlsym(image, WSGI_ENGINE_SYMBOL) else {
      throw .unloadable(path: path, reason: EngineFailure.lastError)
    }
    table = UnsafePointer(symbol.assumingMemoryBound(to: wsgi_engine.self))
    guard table.pointee.abi == WSGI_ENGINE_ABI else { throw .otherBuild(path: path) }
  }

  /// Initialises Python on the calling thread.
  func start(_ host: UnsafePointer<wsgi_host>, settings: [UInt8]) throws(EngineFailure) {
    let message = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2048) { error -> String? in
      error.initialize(repeating: 0)
      guard table.pointee.start(host, settings, settings.count, error.baseAddress, error.count) != 0 else { return nil }
      return error.baseAddress.map { String(cString: $0) } ?? ""
    }
    if let message { throw .notStarted(reason: message) }
  }

  /// Imports a script into an application group. False: it could not be, and the engine has logged why.
  @discardableResult
  func load(_ script: [UInt8], into applicationGroup: [UInt8]) -> Bool {
    table.pointee.load(applicationGroup, applicationGroup.count, script, script.count, nil) == 0
  }
}

/// Why an httpd child has no Python.
enum EngineFailure: Error, CustomStringConvertible {
  case noEngine(EngineChoiceFailure)
  case unloadable(path: String, reason: String)
  case otherBuild(path: String)
  case notStarted(reason: String)

  var description: String {
    switch self {
    case .noEngine(let failure): failure.description
    case .unloadable(let path, let reason): "the engine '\(path)' cannot be loaded: \(reason)"
    case .otherBuild(let path):
      "the engine '\(path)' belongs to another build of mod_wsgi; rebuild and install it with 'make engine'"
    case .notStarted(let reason): reason
    }
  }

  fileprivate static var lastError: String { dlerror().map { String(cString: $0) } ?? "unknown reason" }
}
