/// The versions that mod_wsgi gives.
public enum ModuleVersion {
  /// Its own: in httpd's banner, in `wsgi-worker --version`, in the log and in `mod_wsgi.__version__`.
  public static let text = "7.0"
  /// The version of mod_wsgi whose interfaces it offers, `mod_wsgi.version`: agents look at it to know what they will find.
  public static let compatible = (6, 1, 1)
}
