import PythonRuntime
public func hello2() { hello() }
