/// When a script's file was modified, in microseconds since the epoch: what its code is compared by. Any other time is a change,
/// an older one, 0 and one before the epoch too.
public enum ScriptTime {
  /// The file could not be looked at. No file has this time.
  public static let unknown = Int64.min
}
