import Glibc
import ProcessSupervision
import WSGICore

// A group may be called --version; its processes have settings.
if CommandLine.arguments.dropFirst().elementsEqual(["--version"]), fcntl(WorkerDescriptor.settings.rawValue, F_GETFD) < 0 {
  print("wsgi-worker \(ModuleVersion.text)")
  exit(0)
}
if Relay.isThisProcess { Relay.run() }
if Discard.isThisProcess { Discard.run() }
exit(WorkerMain.run())
