import Platform
import Synchronization
import WSGICore

/// The words of a lane in which an httpd child says for which tenant it asks, and for which script: the tenant's user and the
/// length of its key, the key, the length of the script's path, the path.
///
/// The supervisor checks the form of what it reads there, which any process of httpd's user may have written, and believes
/// nothing of it.
struct TenantQuestion {
  private let words: UnsafeMutablePointer<SharedWord>

  static let size = scriptWord + 1 + ScriptPath.limit / 8
  private static let scriptWord = 1 + TenantKey.limit / 8

  init(_ words: UnsafeMutablePointer<SharedWord>) { self.words = words }

  func put(_ tenant: Tenant, _ script: ScriptPath?) {
    put(tenant.key.words, at: 1)
    put(script?.words ?? [], at: Self.scriptWord + 1)
    words[Self.scriptWord].store(UInt64(script?.bytes.count ?? 0), ordering: .relaxed)
    words[0].store(UInt64(tenant.key.bytes.count) << 32 | UInt64(tenant.user), ordering: .relaxed)
  }

  private func put(_ values: [UInt64], at first: Int) {
    for (index, word) in values.enumerated() { words[first &+ index].store(word, ordering: .relaxed) }
  }

  /// nil: that is not a tenant.
  var tenant: Tenant? {
    let about = words[0].load(ordering: .relaxed)
    let key = TenantKey(length: about >> 32) { words[1 &+ $0].load(ordering: .relaxed) }
    return key.map { Tenant(key: $0, user: UInt32(truncatingIfNeeded: about)) }
  }

  /// nil: none is named that a preloader could load.
  var script: ScriptPath? {
    ScriptPath(length: words[Self.scriptWord].load(ordering: .relaxed)) {
      words[Self.scriptWord &+ 1 &+ $0].load(ordering: .relaxed)
    }
  }
}
