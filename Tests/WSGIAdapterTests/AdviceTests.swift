import Testing

@testable import WSGIAdapter

@Suite struct AdviceTests {
  static let cpython = """
    Traceback (most recent call last):
      File "/srv/app.wsgi", line 3, in <module>
        import numpy
    ImportError: module numpy._core does not support loading in subinterpreters
    """
  static let pyo3 = """
    Traceback (most recent call last):
      File "/srv/app.wsgi", line 1, in <module>
        import bcrypt
      File "/venv/lib/python3.11/site-packages/bcrypt/__init__.py", line 13, in <module>
        from ._bcrypt import gensalt
    ImportError: PyO3 modules compiled for CPython 3.8 or older may only be initialized once per interpreter process
    """

  @Test func namesTheModuleTheGroupAndTheDirective() {
    let advice = InterpreterAdvice(AdviceTests.cpython, applicationGroup: [0x61], hasOwnGIL: false)
    #expect(advice?.sentence.hasPrefix("WSGI0501: Module 'numpy._core' works in Python's main interpreter only") == true)
    #expect(advice?.sentence.contains("application group 'a'") == true)
    #expect(advice?.sentence.contains("WSGIApplicationGroup %{GLOBAL}") == true)
    #expect(advice?.sentence.contains("WSGIPerInterpreterGIL") == false)
  }

  @Test func anInterpreterWithItsOwnGILMayShareIt() {
    let advice = InterpreterAdvice(AdviceTests.cpython, applicationGroup: [0x61], hasOwnGIL: true)
    #expect(
      advice?.sentence.contains("'WSGIPerInterpreterGIL Off' for it in <WSGIInterpreterOptions application-group=a>") == true)
  }

  @Test(arguments: [true, false]) func takesTheNameFromTheImportWhereTheRefusalHasNone(_ hasOwnGIL: Bool) {
    let advice = InterpreterAdvice(AdviceTests.pyo3, applicationGroup: [0x61], hasOwnGIL: hasOwnGIL)
    #expect(advice?.sentence.hasPrefix("WSGI0501: Module 'bcrypt' works in Python's main interpreter only") == true)
  }

  @Test(arguments: [
    "ImportError: cannot load module more than once per process",
    "Original error was: cannot load module more than once per process",
    "RuntimeError: implement_array_function method already has a docstring",
    "ImportError: Interpreter change detected - this module can only be loaded into one interpreter per process.",
    "ImportError: Module 'etree' has already been imported. Re-initialisation is not supported.",
    "ImportError: generic_type: type \"Engine\" is already registered!",
  ])
  func tellsWhatLoadsOnceInAProcess(_ refusal: String) {
    let traceback = "  File \"/srv/app.wsgi\", line 3, in <module>\n    import numpy\n" + refusal
    let advice = InterpreterAdvice(traceback, applicationGroup: [0x61], hasOwnGIL: false)
    #expect(advice?.sentence.hasPrefix("WSGI0501: Module 'numpy' can be loaded once in a process") == true)
    #expect(advice?.sentence.contains("WSGIApplicationGroup %{GLOBAL}") == true)
    #expect(advice?.sentence.hasSuffix("a process group of its own.") == true)
    let main = InterpreterAdvice(traceback, applicationGroup: [], isMain: true, hasOwnGIL: false)
    #expect(main?.sentence.hasSuffix("Give each application that uses it a process group of its own.") == true)
    #expect(main?.sentence.contains("GLOBAL") == false)
  }

  @Test(arguments: [
    "ImportError: PyO3 modules do not yet support subinterpreters, see https://github.com/PyO3/pyo3/issues/576",
    "RuntimeError: fork not supported for subinterpreters",
    "RuntimeError: preexec_fn not supported within subinterpreters",
  ])
  func tellsWhatNeedsTheMainInterpreter(_ refusal: String) {
    let advice = InterpreterAdvice(refusal, applicationGroup: [0x61], hasOwnGIL: false)
    #expect(advice?.sentence.contains("works in Python's main interpreter only") == true)
    #expect(InterpreterAdvice(refusal, applicationGroup: [], isMain: true, hasOwnGIL: false) == nil)
  }

  @Test(arguments: [
    "", "\n\n", "ImportError: no module named x", "ImportError: may only be initialized once",
  ])
  func saysNothingOfOtherErrors(_ traceback: String) {
    #expect(InterpreterAdvice(traceback, applicationGroup: [], hasOwnGIL: true) == nil)
  }

  @Test(arguments: [
    "ImportError: may only be initialized once per interpreter process",
    "ImportError:  does not support loading in subinterpreters module x",
  ])
  func doesWithoutAName(_ traceback: String) {
    let advice = InterpreterAdvice(traceback, applicationGroup: [], hasOwnGIL: false)
    #expect(advice?.sentence.hasPrefix("WSGI0501: An extension module works in") == true)
  }
}
