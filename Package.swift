// swift-tools-version: 6.2
import PackageDescription

// The Makefile passes what apxs and python3-config report; the defaults are Debian 12's, so that a bare
// `swift build` and `swift test` work too.
let environment = Context.environment
let httpdInclude = environment["WSGI_HTTPD_INCLUDE"] ?? "/usr/include/apache2"
let aprInclude = environment["WSGI_APR_INCLUDE"] ?? "/usr/include/apr-1.0"
let pythonInclude = environment["WSGI_PYTHON_INCLUDE"] ?? "/usr/include/python3.11"
let pythonLibrary = environment["WSGI_PYTHON_LIBRARY"] ?? "python3.11"
let pythonVersion = pythonLibrary.drop { !$0.isNumber }
let pythonLibraryPath = environment["WSGI_PYTHON_LIBRARY_PATH"] ?? "/usr/lib/x86_64-linux-gnu"
let pythonProgram = environment["WSGI_PYTHON_PROGRAM"] ?? "/usr/bin/python3.11"
let moduleDirectory = environment["WSGI_MODULE_DIRECTORY"] ?? "/usr/lib/apache2/modules"
let httpdProgram = environment["WSGI_HTTPD"] ?? "/usr/sbin/apache2"
let runtimeDirectory = environment["WSGI_RUNTIME_DIRECTORY"] ?? "/var/run/apache2"
// The adapter's Python sources compiled for that Python; without the file they are compiled when a process starts.
let pythonCode: [CSetting] = environment["WSGI_PYTHON_CODE"].map { [.define("WSGI_PYTHON_CODE", to: "\"\($0)\"")] } ?? []
let shim = Context.packageDirectory + "/shim"

let common: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]
// Rooms that speak values only. The rooms beside a C interface are made of unsafe calls throughout, so that there the
// marker would say nothing; their fences are the import rules that `make lint` checks.
let pure: [SwiftSetting] = common + [.strictMemorySafety()]
// Rooms on the request path. Exclusive access is what the compiler can prove; the checks it would leave for run time cost a
// tenth of a request there, and end the process where they find something.
let hot: [SwiftSetting] = common + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]
// Rooms that see Python.h, which defines _GNU_SOURCE: for the C library's own module too, as the two must agree on its types.
let gnu: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-D_GNU_SOURCE"])]
let pythonFlags: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-I", "-Xcc", pythonInclude])] + gnu
let posixFlags: [CSetting] = [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror"])]

/// The linker would write where it put the image into it for want of another name. An image's own names are its own, also where
/// another version of it is in the same process, as httpd has after an upgrade.
func image(_ map: String, name: String) -> [LinkerSetting] {
  [
    .unsafeFlags([
      "-Xlinker", "--version-script=\(shim)/\(map)", "-Xlinker", "-soname=\(name)", "-Xlinker", "-z", "-Xlinker", "nodelete",
      "-Xlinker", "-Bsymbolic", "-Xlinker", "--gc-sections",
    ])
  ]
}

let package = Package(
  name: "mod_wsgi",
  products: [
    .library(name: "mod_wsgi", type: .dynamic, targets: ["WSGIModule"]),
    .library(name: "wsgi-engine", type: .dynamic, targets: ["WSGIEngine"]),
    .executable(name: "wsgi-worker", targets: ["WSGIWorker"]),
  ],
  targets: [
    // MARK: C
    .systemLibrary(name: "CEngine", path: "shim"),
    .target(name: "CPosix", path: "shim/posix", publicHeadersPath: ".", cSettings: posixFlags),
    .target(
      name: "CHTTPD", path: "shim/httpd", publicHeadersPath: ".",
      cSettings: posixFlags + [
        .define("WSGI_DEFAULT_PYTHON", to: "\"\(pythonVersion)\""),
        .unsafeFlags(["-isystem", httpdInclude, "-isystem", aprInclude]),
      ]),
    .target(
      name: "CPython", path: "shim/python", publicHeadersPath: ".",
      cSettings: pythonCode + [
        .define("_GNU_SOURCE"), .define("WSGI_PYTHON_PROGRAM", to: "\"\(pythonProgram)\""),
        .unsafeFlags(["-I", pythonInclude, "-Wall", "-Werror"]),
      ]),
    .target(
      name: "CEngineTable", path: "shim/engine", publicHeadersPath: ".",
      cSettings: [.unsafeFlags(["-I", pythonInclude, "-Wall", "-Werror"])]),

    // MARK: values
    .target(name: "WSGICore", dependencies: ["CEngine"], swiftSettings: hot),
    // Names of threads, and locks with a limit by the monotonic clock, are GNU's.
    .target(name: "Platform", swiftSettings: hot + gnu),
    .target(name: "WSGIConfig", dependencies: ["WSGICore"], swiftSettings: pure),

    .target(name: "RequestCounting", dependencies: ["WSGICore", "Platform"], swiftSettings: hot),
    .target(
      name: "WSGIStatus", dependencies: ["RequestCounting", "WSGICore"], resources: [.embedInCode("status.css")],
      swiftSettings: hot),

    // MARK: processes
    .target(name: "DaemonTransport", dependencies: ["RequestCounting", "WSGICore", "Platform", "CPosix"], swiftSettings: hot),
    .target(name: "ProcessSupervision", dependencies: ["WSGICore", "Platform", "CPosix"], swiftSettings: common),

    // MARK: Python
    .target(
      name: "PythonRuntime", dependencies: ["Platform", "CPython"],
      swiftSettings: hot + pythonFlags),
    // A thread's own processor time is GNU's to give.
    .target(name: "WSGIMeasurement", dependencies: ["WSGICore", "Platform"], swiftSettings: hot + gnu),
    .target(
      name: "WSGIAdapter", dependencies: ["PythonRuntime", "WSGIMeasurement", "WSGICore", "Platform"],
      resources: [.embedInCode("Python/bootstrap.py"), .embedInCode("Python/advice.py")], swiftSettings: hot + pythonFlags),
    .target(
      name: "WSGIEngine", dependencies: ["WSGIAdapter", "PythonRuntime", "WSGICore", "CEngine", "CEngineTable"],
      swiftSettings: hot + pythonFlags,
      linkerSettings: [.unsafeFlags(["-L", pythonLibraryPath]), .linkedLibrary(pythonLibrary)]
        + image("wsgi_engine.map", name: "wsgi-engine-\(pythonVersion).so")),

    // MARK: images
    .target(
      name: "WSGIModule",
      dependencies: [
        "WSGIConfig", "WSGIStatus", "RequestCounting", "DaemonTransport", "ProcessSupervision", "WSGICore", "Platform",
        "CHTTPD", "CEngine", "CPosix",
      ],
      swiftSettings: hot, linkerSettings: image("mod_wsgi.map", name: "mod_wsgi.so")),
    // At a fixed address, as Debian's Python is: where the loader puts addresses into an image, each process has its own copy of
    // those pages, and there are two processes to each worker.
    .executableTarget(
      name: "WSGIWorker", dependencies: ["DaemonTransport", "ProcessSupervision", "WSGICore", "Platform", "CEngine", "CPosix"],
      swiftSettings: hot, linkerSettings: [.unsafeFlags(["-Xclang-linker", "-no-pie"], .when(configuration: .release))]),

    // MARK: tests
    .testTarget(name: "WSGICoreTests", dependencies: ["WSGICore"], swiftSettings: common),
    .testTarget(name: "PlatformTests", dependencies: ["Platform"], swiftSettings: common),
    .testTarget(name: "WSGIConfigTests", dependencies: ["WSGIConfig", "WSGICore"], swiftSettings: common),
    .testTarget(name: "RequestCountingTests", dependencies: ["RequestCounting", "WSGICore"], swiftSettings: common),
    .testTarget(name: "WSGIStatusTests", dependencies: ["WSGIStatus", "RequestCounting", "WSGICore"], swiftSettings: common),
    .testTarget(
      name: "DaemonTransportTests", dependencies: ["DaemonTransport", "RequestCounting", "WSGICore", "Platform", "CPosix"],
      swiftSettings: common),
    // A worker, and a parent of supervisors, that do what a test tells them; and what a test cannot do itself.
    .executableTarget(
      name: "SupervisionProbe", dependencies: ["ProcessSupervision", "WSGICore", "Platform", "CPosix"],
      path: "Tests/SupervisionProbe",
      swiftSettings: common),
    .testTarget(
      name: "WSGIWorkerTests",
      dependencies: [
        "WSGIWorker", "DaemonTransport", "RequestCounting", "ProcessSupervision", "WSGICore", "Platform", "CEngine", "CPosix",
      ],
      swiftSettings: common),
    .testTarget(name: "WSGIMeasurementTests", dependencies: ["WSGIMeasurement", "WSGICore", "Platform"], swiftSettings: common),
    // Tests run in one process, which has one Python.
    .target(
      name: "PythonForTests", dependencies: ["WSGIAdapter", "WSGICore"], path: "Tests/PythonForTests",
      swiftSettings: common + pythonFlags),
    .testTarget(
      name: "PythonRuntimeTests", dependencies: ["PythonForTests", "WSGIAdapter", "PythonRuntime"],
      swiftSettings: common + pythonFlags,
      linkerSettings: [.unsafeFlags(["-L", pythonLibraryPath]), .linkedLibrary(pythonLibrary)]),
    .testTarget(
      name: "WSGIAdapterTests",
      dependencies: ["PythonForTests", "WSGIAdapter", "PythonRuntime", "WSGIMeasurement", "WSGICore", "Platform"],
      swiftSettings: common + pythonFlags,
      linkerSettings: [.unsafeFlags(["-L", pythonLibraryPath]), .linkedLibrary(pythonLibrary)]),
    .testTarget(
      name: "ProcessSupervisionTests",
      dependencies: ["ProcessSupervision", "SupervisionProbe", "WSGICore", "Platform", "CPosix"],
      swiftSettings: common),
  ],
  swiftLanguageModes: [.v6]
)

// The command, and what it is made with. An engine is built for each Python in a folder of its own, which need not have these.
if environment["WSGI_ENGINE_ONLY"] == nil {
  package.dependencies.append(.package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"))
  package.products.append(.executable(name: "wsgictl", targets: ["wsgictl"]))
  package.targets += [
    .target(
      name: "CInstallation", path: "shim/installation", publicHeadersPath: ".",
      cSettings: [
        .define("WSGI_MODULE_DIRECTORY", to: "\"\(moduleDirectory)\""),
        .define("WSGI_RUNTIME_DIRECTORY", to: "\"\(runtimeDirectory)\""),
        .define("WSGI_DEFAULT_PYTHON", to: "\"\(pythonVersion)\""), .define("WSGI_HTTPD", to: "\"\(httpdProgram)\""),
        .unsafeFlags(["-Wall", "-Wextra", "-Werror"]),
      ]),
    .executableTarget(
      name: "wsgictl",
      dependencies: [
        "ProcessSupervision", "WSGICore", "Platform", "CInstallation", "CPosix",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      // A link to the documentation's own file.
      resources: [
        .embedInCode("messages.md"), .embedInCode("Serve/Python/development.py"), .embedInCode("Doctor/Python/doctor.py"),
      ], swiftSettings: common),
    .testTarget(name: "WsgictlTests", dependencies: ["wsgictl"], swiftSettings: common),
  ]
}

// `make fuzz`: readers of what others wrote under libFuzzer, built apart so that nothing else is instrumented.
if environment["WSGI_FUZZ"] != nil {
  let fuzzer: [LinkerSetting] = [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]
  package.targets += [
    .executableTarget(
      name: "FrameFuzz", dependencies: ["DaemonTransport", "RequestCounting", "WSGICore", "CPosix"], path: "Tests/FrameFuzz",
      swiftSettings: common, linkerSettings: fuzzer),
    .executableTarget(
      name: "MessageFuzz", dependencies: ["DaemonTransport", "ProcessSupervision", "WSGIConfig", "WSGICore"],
      path: "Tests/MessageFuzz",
      swiftSettings: common, linkerSettings: fuzzer),
  ]
}

// `make sanitize`: the programs that a sanitizer's runtime is linked into say what they want of it.
if environment["WSGI_SANITIZE"] != nil {
  package.targets.append(.target(name: "Sanitizers", path: "Tests/Sanitizers", publicHeadersPath: "."))
  for target in package.targets where target.type == .executable || target.type == .test {
    target.dependencies.append("Sanitizers")
  }
  // Images that are loaded into one process share one runtime, and httpd is started with it.
  if let runtime = environment["WSGI_SANITIZER_RUNTIME"] {
    for target in package.targets where ["WSGIModule", "WSGIEngine", "WSGIWorker"].contains(target.name) {
      target.linkerSettings =
        (target.linkerSettings ?? []) + [
          .unsafeFlags(["-Xclang-linker", "-shared-libasan", "-Xlinker", "-rpath", "-Xlinker", runtime])
        ]
    }
  }
}
