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
    #expect(advice?.sentence.hasPrefix("WSGI0501: Module '._bcrypt' works in Python's main interpreter only") == true)
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
